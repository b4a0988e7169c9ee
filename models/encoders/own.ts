/**
 * The encoders of networks trained here: none, one for class labels, or one for captions, as `network.condition` says, and one
 * for the guidance scale where `network.guidance` says so.
 */
import { Failure } from "../../schemas/failure.ts";
import type { FitRule, PlannedNetwork, Rules } from "../../schemas/fit.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { NetworkSettings } from "../../schemas/settings.ts";
import { type CutCaptions, cutCaptions } from "../text/cut-captions.ts";
import { createTokenizer, LEAST_PIECES, learnTokenizer, type TokenizerData } from "../text/tokenizer.ts";
import { captionEncoder } from "./caption.ts";
import type { ConditionColumn, Encoder } from "./encoder.ts";
import { guidanceEncoder } from "./guidance.ts";
import { labelEncoder } from "./label.ts";

/** What an encoder must have learned from data before its network can be specified. */
interface Learned {
  vocabulary: number;
  tokenizer?: TokenizerData;
  /** Captions to sample from where none are given. */
  captions: string[];
  /** What the encoder cannot see of those that are too long for it. */
  cut?: CutCaptions;
}

/** What of a specification its encoders are made of. */
export type ConditionedSpec = Pick<DenoiserSpec, "classes" | "vocabulary"> & {
  network: Pick<NetworkSettings, "condition" | "heads" | "textDepth" | "captionTokens"> & Partial<Pick<NetworkSettings, "guidance">>;
};

/** The data that encoders learn from; `data` names it in failures. */
interface Lesson {
  network: NetworkSettings;
  data: string;
  classes: readonly string[];
  captions: () => Promise<string[]>;
}

interface Kind {
  reads: ConditionColumn;
  encoder: (spec: ConditionedSpec, options: { width: number; sequences?: boolean }) => Encoder;
  learn: (lesson: Lesson) => Promise<Learned>;
  /** Why the data cannot teach it anything, as a sentence; undefined where it can. */
  lacking: (lesson: Lesson) => Promise<string | undefined>;
  /** Which settings of `network` must fit each other for it. */
  fit?: readonly FitRule<PlannedNetwork>[];
}

const nothing: Learned = { vocabulary: 0, captions: [] };

const labels: Kind = {
  reads: "label",
  encoder: ({ classes }, { width }) => labelEncoder({ classes: classes.length, width }),
  learn: async () => nothing,
  lacking: async ({ classes, data }) =>
    classes.length > 0
      ? undefined
      : `Cannot train a class-conditional teacher on ${data}: it has no classes (network.condition=class). ` +
        "Put images in class folders, or add --set network.condition=none.",
};

const captions: Kind = {
  reads: "caption",
  encoder: ({ network: { heads, textDepth, captionTokens }, vocabulary }, { width, sequences }) =>
    captionEncoder({ vocabulary, length: captionTokens, width, depth: textDepth, heads }, { sequences }),
  lacking: async ({ data, captions }) =>
    (await captions()).length > 0
      ? undefined
      : `Cannot train a caption-conditional teacher on ${data}: it has no captions (network.condition=caption). ` +
        "Give the images captions, or add --set network.condition=none (or class).",
  learn: async ({ network, captions }) => {
    const known = await captions();
    const data = learnTokenizer({ captions: known, vocabulary: network.vocabulary });
    const tokenizer = createTokenizer(data);
    const cut = cutCaptions({ captions: known, tokenizer, length: network.captionTokens });
    return { vocabulary: tokenizer.size, tokenizer: data, captions: known, cut };
  },
  fit: [
    {
      settings: ["network.vocabulary", "network.condition"],
      why: ({ network: { vocabulary } }) =>
        vocabulary >= LEAST_PIECES ? undefined : `captions are read in ${LEAST_PIECES} word pieces at least; raise network.vocabulary`,
    },
    {
      settings: ["network.heads", "network.width"],
      why: ({ network: { heads, width } }) =>
        width % heads === 0 ? undefined : "each head of the text encoder takes an equal share of the width; set network.heads to a divisor",
    },
  ],
};

const kinds: Readonly<Record<NetworkSettings["condition"], Kind | undefined>> = { none: undefined, class: labels, caption: captions };

/** The encoders of a network whose condition vectors have `width` numbers; `sequences`: it reads captions piece by piece too. */
export function ownEncoders(spec: ConditionedSpec, width: number, { sequences = false } = {}): Encoder[] {
  const kind = kinds[spec.network.condition];
  return [...(kind ? [kind.encoder(spec, { width, sequences })] : []), ...(spec.network.guidance ? [guidanceEncoder({ width })] : [])];
}

/** Whether a network of these settings reads a vector that its own encoders make: of a condition, of the guidance scale, or of both. */
export function takesVector(network: Pick<NetworkSettings, "condition" | "guidance">): boolean {
  return isConditional(network) || network.guidance === true;
}

/** The columns of a store that a network of these settings is conditioned on; none without conditions. */
export function conditionColumns({ condition }: Pick<NetworkSettings, "condition">): ConditionColumn[] {
  const kind = kinds[condition];
  return kind ? [kind.reads] : [];
}

/** Whether a network of these settings is conditioned on anything, so that guidance has an effect. */
export function isConditional(network: Pick<NetworkSettings, "condition">): boolean {
  return conditionColumns(network).length > 0;
}

/** What must hold of the settings of a network's own encoders. */
export const encoderRules: Rules<PlannedNetwork> = {
  fit: Object.values(kinds)
    .flatMap((kind) => kind?.fit?.map((rule) => ({ kind, rule })) ?? [])
    .map(({ kind, rule }) => ({ ...rule, why: (planned) => (kinds[planned.network.condition] === kind ? rule.why(planned) : undefined) })),
  idle: [
    {
      settings: ["network.vocabulary", "network.captionTokens", "network.textDepth"],
      why: ({ network: { condition } }) =>
        kinds[condition] === captions ? undefined : `no captions are read (network.condition is ${condition})`,
    },
    {
      settings: ["network.guidance"],
      why: ({ network: { guidance } }) =>
        guidance ? "a teacher sees no scale but 1 in training; methods that need this input add it to their students" : undefined,
    },
  ],
};

/** What the encoders learn from the data a teacher is trained on. Throws a Failure where it lacks what they need. */
export async function learnConditions(lesson: Lesson): Promise<Learned> {
  let known: Promise<string[]> | undefined;
  const once: Lesson = { ...lesson, captions: () => (known ??= lesson.captions()) };
  await requireConditions(once);
  return (await kinds[lesson.network.condition]?.learn(once)) ?? nothing;
}

/** Throws a Failure where the data has none of the conditions that the network is to take; some of its captions suffice to tell. */
export async function requireConditions(lesson: Lesson): Promise<void> {
  const lacking = await kinds[lesson.network.condition]?.lacking(lesson);
  if (lacking !== undefined) throw new Failure(lacking);
}

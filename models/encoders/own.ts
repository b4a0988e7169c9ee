/** The encoders of networks trained here: none, one for class labels, or one for captions, as `network.condition` says. */
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { NetworkSettings } from "../../schemas/settings.ts";
import { type CutCaptions, cutCaptions } from "../text/cut-captions.ts";
import { createTokenizer, learnTokenizer, type TokenizerData } from "../text/tokenizer.ts";
import { captionEncoder } from "./caption.ts";
import type { ConditionColumn, Encoder } from "./encoder.ts";
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

/** The data that encoders learn from; `data` names it in failures. */
interface Lesson {
  network: NetworkSettings;
  data: string;
  classes: readonly string[];
  captions: () => Promise<string[]>;
}

interface Kind {
  reads: ConditionColumn;
  encoder: (spec: DenoiserSpec, width: number) => Encoder;
  learn: (lesson: Lesson) => Promise<Learned>;
}

const nothing: Learned = { vocabulary: 0, captions: [] };

const labels: Kind = {
  reads: "label",
  encoder: ({ classes }, width) => labelEncoder({ classes: classes.length, width }),
  learn: async ({ classes, data }) => {
    if (classes.length > 0) return nothing;
    throw new Failure(
      `Cannot train a class-conditional teacher on ${data}: it has no classes. Put images in class folders, or set network.condition=none.`,
    );
  },
};

const captions: Kind = {
  reads: "caption",
  encoder: ({ network: { heads, textDepth, captionTokens }, vocabulary }, width) =>
    captionEncoder({ vocabulary, length: captionTokens, width, depth: textDepth, heads }),
  learn: async ({ network, captions }) => {
    const known = await captions();
    if (known.length === 0) return nothing;
    const data = learnTokenizer({ captions: known, vocabulary: network.vocabulary });
    const tokenizer = createTokenizer(data);
    const cut = cutCaptions({ captions: known, tokenizer, length: network.captionTokens });
    return { vocabulary: tokenizer.size, tokenizer: data, captions: known, cut };
  },
};

const kinds: Readonly<Record<NetworkSettings["condition"], Kind | undefined>> = { none: undefined, class: labels, caption: captions };

/** The encoders of a network whose condition vectors have `width` numbers. */
export function ownEncoders(spec: DenoiserSpec, width: number): Encoder[] {
  const kind = kinds[spec.network.condition];
  return kind ? [kind.encoder(spec, width)] : [];
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

/** What the encoders learn from the data a teacher is trained on. Throws a Failure where it lacks what they need. */
export async function learnConditions(lesson: Lesson): Promise<Learned> {
  return (await kinds[lesson.network.condition]?.learn(lesson)) ?? nothing;
}

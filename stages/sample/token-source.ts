/** Where a network under control has its codes from: a prior draws tokens for the class or caption of each image. */
import type { ConditionBag, ConditionColumn, Conditioned } from "../../models/conditions.ts";
import { conditionColumns } from "../../models/encoders/own.ts";
import { sequenceLength } from "../../models/tokens/prior.ts";
import type { Context } from "../../schemas/events.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type Denoiser, readStoresTokenizer } from "../runs/model.ts";
import { openConditions } from "./conditions.ts";
import { openCodes } from "./codes.ts";
import type { Rows } from "./drawing.ts";
import { openPrior } from "./prior.ts";
import { openStoresTokenizer } from "./tokenizer.ts";

export interface TokenSource {
  /** Columns of a store that the prior is conditioned on. */
  columns: ConditionColumn[];
  /** Calls of the prior for one image: its tokens. */
  calls: number;
  /** The codes of images under these conditions, a function of the seed and the number of each. */
  codes: (rows: Rows, given: Conditioned) => Promise<ConditionBag>;
  close: () => Promise<void>;
}

/** Throws a usage failure where a model draws from tokens and no prior makes any, or where it has no use for a prior. */
export function checkPrior({ description }: Denoiser, path: string, prior: string | undefined): void {
  const { control } = description.spec.network;
  if (control && prior === undefined) {
    throw badUsage(
      `Cannot sample ${path}: it draws images from their tokens alone. Name what makes tokens with --prior RUN, a run of ` +
        `\`pipeline pretrain prior\`; or see what it makes of images' own tokens: pipeline reconstruct --model ${path} --reference LATENTS`,
    );
  }
  if (!control && prior !== undefined) {
    throw badUsage(`Cannot sample ${path} from the tokens of ${prior}: it reads none. Leave --prior out, or name a student by layton.`);
  }
}

/** Opens the prior in `prior` for the model in `model`. Throws a Failure where its tokens or its classes are others. */
export async function openTokenSource(options: {
  model: string;
  prior: string;
  description: DenoiserDescription;
  batch: number;
  engine: EngineSettings;
  context: Context;
}): Promise<TokenSource> {
  const { model, engine, context, description } = options;
  const { classes } = description.spec;
  const own = await readStoresTokenizer(model);
  const prior = await openPrior({ ...options, path: options.prior });
  const { spec, imageTokenizer } = prior.description;
  const columns = conditionColumns(spec.network);
  const wrong =
    imageTokenizer !== own.description.hash
      ? "they are tokens of another tokenizer. Train a prior on the tokens of the one that the student was trained with."
      : columns.includes("label") && String(spec.classes) !== String(classes)
        ? `its classes are ${spec.classes.join(", ")}, the model's ${classes.join(", ")}. Train a prior on the model's own images.`
        : undefined;
  if (wrong) {
    await prior.close();
    throw new Failure(`Cannot draw tokens of ${options.prior} with ${model}: ${wrong}`);
  }
  const conditions = openConditions({ description, choice: {}, engine, signal: context.signal });
  const codes = openCodes(conditions, () => openStoresTokenizer({ folder: model, engine, context }));
  return {
    columns,
    calls: sequenceLength(spec),
    codes: async (rows, { label, caption }) => codes.ofTokens(await prior.sampleTokens({ ...rows, labels: label, captions: caption })),
    close: async () => {
      await Promise.all([prior.close(), codes.close(), conditions.close()]);
    },
  };
}

/** A prior over the tokens of images, which an image tokenizer made. */
import { hashWeights } from "../../../engine/weights.ts";
import { conditionsBy } from "../../../models/conditions.ts";
import { learnConditions } from "../../../models/encoders/own.ts";
import { priorEncoders, type PriorSpec } from "../../../models/tokens/prior.ts";
import type { TokenManifest } from "../../../schemas/manifest.ts";
import type { TokenSampler } from "../../../schemas/model.ts";
import { readCodec, readStoresTokenizer, writeCodec, writeModel, writeStoresTokenizer } from "../../runs/model.ts";
import { tokenRows } from "../rows.ts";
import type { Training } from "../training.ts";
import { captionsOf, type Pretraining, trainingOn } from "./pretraining.ts";
import { representative } from "./teacher.ts";

/** Prepares a prior. Throws a Failure where it is to know classes or captions and the store has none. */
export async function preparePrior(pretraining: Pretraining<TokenManifest>): Promise<Training<void>> {
  const { store, data, out, own, settings, context } = pretraining;
  const { network } = settings;
  const { classes, shape, tokenizer: made } = store.manifest;
  const codec = await readCodec(data, context);
  const imageTokenizer = await readStoresTokenizer(data);
  const { tokenizer, vocabulary, captions } = await learnConditions({ network, data, classes, captions: () => captionsOf(store) });
  const { width, depth, heads, guidance, topK, temperature } = own as PriorSpec["network"] & TokenSampler;
  const { condition, captionTokens, textDepth } = network;
  const spec: PriorSpec = {
    grid: [shape[0], shape[1]],
    codes: made.codes,
    classes,
    vocabulary,
    network: { width, depth, heads, condition, captionTokens, textDepth },
  };
  const conditions = conditionsBy(priorEncoders(spec), spec, { tokenizer });
  return {
    ...trainingOn(pretraining, { subject: { prior: spec }, rows: (order) => tokenRows({ store, conditions, order }) }),
    begin: async () => {
      await writeCodec(out, codec);
      await writeStoresTokenizer(out, imageTokenizer);
    },
    write: (weights) =>
      writeModel(out, {
        description: {
          role: "prior",
          hash: hashWeights(weights),
          spec,
          imageTokenizer: made.hash,
          tokenizer,
          captions: representative(captions, 4096),
          sampler: { guidance, topK, temperature },
        },
        weights,
      }),
    close: async () => {},
  };
}

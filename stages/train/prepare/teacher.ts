/** A teacher, trained from scratch or from an earlier one on the latents of images. */
import { hashWeights } from "../../../engine/weights.ts";
import { createConditions } from "../../../models/conditions.ts";
import type { DenoiserSpec } from "../../../models/denoiser.ts";
import { learnConditions } from "../../../models/encoders/own.ts";
import { noiseFor } from "../../../models/diffusion/sample-noise.ts";
import type { CutCaptions } from "../../../models/text/cut-captions.ts";
import { readCodec, startFrom, writeCodec, writeModel } from "../../runs/model.ts";
import { isComparable, imageRows } from "../reference-rows.ts";
import { sampleEvenly } from "../sample-evenly.ts";
import { createWatch, measuringOf } from "../watch.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { samples } from "../pictures.ts";
import { latentRows } from "../rows.ts";
import type { Training } from "../training.ts";
import { captionsOf, type Pretraining, trainingOn } from "./pretraining.ts";

/** Samples of the grids on the way. */
const PICTURED = 64;

/** Prepares a teacher. Throws a Failure where it is to know classes and the store has none. */
export async function prepareTeacher(pretraining: Pretraining): Promise<Training<void>> {
  const { store, summary, data, out, settings, context } = pretraining;
  const { network, diffusion, seed, engine } = settings;
  const { statistics } = summary;
  const codec = await readCodec(data, context);
  const { classes, shape } = store.manifest;
  const learned = await learnConditions({ network, data, classes, captions: () => captionsOf(store) });
  const { captions, tokenizer, vocabulary, cut } = learned;
  if (cut && cut.longer > 0) {
    const message = cutInWords(cut, { length: network.captionTokens, captions: captions.length });
    context.report({ type: "warning", stage: "teacher", message });
  }
  const spec: DenoiserSpec = { shape, network, diffusion, classes, vocabulary };
  const conditions = createConditions({ spec, tokenizer });
  const group = settings.pretrain.teacher;
  const start = group.from ? { teacher: await startFrom(group.from, spec, "pretrain.teacher.from", context) } : undefined;

  const decoder = await createPictureDecoder({ codec, statistics, spec, engine, context });
  const watch = createWatch({
    settings: group,
    spec,
    plan: settings.simulate,
    conditions,
    decoder,
    imageSize: codec.description.imageSize,
    seed,
    engine,
    context,
    reference: () => imageRows(store, { statistics, spec }, context),
  });
  const noise = noiseFor({ seed, stream: "pictures", rows: PICTURED, spec, plan: settings.simulate });
  return {
    ...trainingOn(pretraining, {
      subject: { spec, plan: settings.simulate },
      rows: (order) => latentRows({ store, conditions, scale: { statistics, sigmaData: diffusion.sigmaData }, order }),
      start,
      data: start && hashWeights(start.teacher),
    }),
    begin: () => writeCodec(out, codec),
    picture: samples({
      inputs: async () => ({ ...noise, rows: PICTURED, conditions: await conditions.inputs(conditions.spread(PICTURED, captions, seed)) }),
      decoder,
      folder: out,
    }),
    ...(group.distanceEvery > 0 &&
      isComparable(store, context) && {
        measuring: (trainer) =>
          measuringOf({
            settings: group,
            watch,
            sample: (inputs) => sampleEvenly((part) => trainer.sample(part), inputs),
            reference: summary.contents,
          }),
      }),
    write: (weights) =>
      writeModel(out, {
        description: {
          role: "teacher",
          hash: hashWeights(weights),
          spec,
          statistics,
          tokenizer,
          captions: representative(captions, 4096),
        },
        weights,
      }),
    close: async () => {
      await watch.close();
      await decoder.close();
    },
  };
}

function cutInWords({ longer, equal, different, left, needed }: CutCaptions, of: { length: number; captions: number }): string {
  const cut = `${longer} of ${of.captions} captions are longer than network.captionTokens (${of.length} pieces, the end's among them)`;
  const rest = `${left} ${left === 1 ? "is" : "are"} left`;
  const alike = equal > 0 ? `; ${equal} become equal to others: of ${different} different ones ${rest}` : "";
  return `${cut} and are cut${alike}. All are read whole at network.captionTokens=${needed}`;
}

/** At most `limit` of the distinct captions, evenly from their alphabet: the first ones of a listing may name some subjects only. */
export function representative(captions: readonly string[], limit: number): string[] {
  const all = [...new Set(captions)].sort();
  const count = Math.min(limit, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)] as string);
}

/** An image tokenizer, trained on the latents of images, whichever codec made them. */
import { elements, hashWeights } from "../../../engine/weights.ts";
import type { ImageTokenizerConfig } from "../../../models/tokens/image-tokenizer.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { LatentManifest } from "../../../schemas/manifest.ts";
import { readLatents, stacked } from "../../../store/rows/latents.ts";
import { normalise } from "../../../store/records/statistics.ts";
import type { Store } from "../../../store/shards/store.ts";
import { readCodec, readPerceptual, writeCodec, writeModel } from "../../runs/model.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { roundTrips } from "../pictures.ts";
import { latentRows } from "../rows.ts";
import type { Training } from "../training.ts";
import { type Pretraining, trainingOn } from "./pretraining.ts";

/** Prepares an image tokenizer. Throws a Failure where the perceptual network it is to look through reads other latents. */
export async function prepareTokenizer(pretraining: Pretraining): Promise<Training<void>> {
  const { store, summary, data, out, own, settings, context } = pretraining;
  const { statistics } = summary;
  const { sigmaData } = settings.diffusion;
  const { shape } = store.manifest;
  const { downsample, width, codes, dimension, perceptualWeight } = own as ImageTokenizerConfig & { perceptualWeight: number };
  const config: ImageTokenizerConfig = { shape, downsample, width, codes, dimension, sigmaData };
  const codec = await readCodec(data, context);
  const path = settings.pretrain.tokenizer.perceptual;
  const perceptual = path && perceptualWeight > 0 ? await readPerceptual(path, context) : undefined;
  if (perceptual && String(perceptual.description.config.shape) !== String(shape)) {
    throw new Failure(
      `Cannot compare latents of shape ${shape} with ${path}: it was trained on shape ${perceptual.description.config.shape} ` +
        "(pretrain.tokenizer.perceptual)",
    );
  }
  const decoder = await createPictureDecoder({
    codec,
    statistics,
    spec: { diffusion: { sigmaData } },
    engine: settings.engine,
    context,
  });
  const training = trainingOn(pretraining, {
    subject: { imageTokenizer: config, ...(perceptual && { perceptual: perceptual.description.config }) },
    rows: (order) => latentRows({ store, conditions: { inputs: async () => ({}) }, scale: { statistics, sigmaData }, order }),
    ...(perceptual && { frozen: { perceptual } }),
  });
  const length = elements(shape);
  const first = normalise(await firstLatents(store, training.job.optimiser.batch), statistics, sigmaData);
  return {
    ...training,
    begin: () => writeCodec(out, codec),
    picture: roundTrips({ images: () => first, length, decoder, folder: out }),
    write: (weights) => writeModel(out, { description: { role: "tokenizer", hash: hashWeights(weights), config, statistics }, weights }),
    close: decoder.close,
  };
}

/** The first `count` latents of a store, again from its beginning where it has fewer. */
async function firstLatents(store: Store<LatentManifest>, count: number): Promise<Float32Array> {
  const latents: Float32Array[] = [];
  for await (const { latent } of readLatents(store)) if (latents.push(latent) === count) break;
  return stacked(Array.from({ length: latents.length > 0 ? count : 0 }, (_, i) => latents[i % latents.length] as Float32Array));
}

/** Our own autoencoder, trained on a store of pixels: the result is a codec. */
import { hashWeights } from "../../../engine/weights.ts";
import { autoencoderConfig, latentShape } from "../../../models/codecs/autoencoder.ts";
import { isPixels } from "../../../models/codecs/codecs.ts";
import { Failure } from "../../../schemas/failure.ts";
import { readCodec, writeCodec } from "../../runs/model.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { roundTrips } from "../pictures.ts";
import { latentRows } from "../rows.ts";
import type { Training } from "../training.ts";
import { type Pretraining, trainingOn } from "./pretraining.ts";

/** Prepares an autoencoder. Throws a Failure where the store holds latents of a network. */
export async function prepareAutoencoder(pretraining: Pretraining): Promise<Training<void>> {
  const { store, data, out, own, settings, context } = pretraining;
  const { imageSize, encoder } = store.manifest;
  if (!isPixels(encoder.kind)) {
    throw new Failure(
      `Cannot train an autoencoder on ${data}: it holds "${encoder.kind}" latents. Ingest the images with --set encoder.kind=pixel.`,
    );
  }
  const config = autoencoderConfig(own);
  const decoder = await createPictureDecoder({ codec: await readCodec(data, context), engine: settings.engine, context });
  const training = trainingOn(pretraining, {
    subject: { autoencoder: { config, imageSize } },
    rows: (order) => latentRows({ store, conditions: { inputs: async () => ({}) }, order }),
  });
  let first: Float32Array | undefined;
  return {
    ...training,
    batches: async function* (fromStep, follow) {
      for await (const batch of training.batches(fromStep, follow)) {
        first ??= batch.latent?.slice(); // the batch itself is the worker's
        yield batch;
      }
    },
    picture: roundTrips({ images: () => first, length: imageSize * imageSize * 3, decoder, folder: out }),
    write: async (weights) => {
      const shape = latentShape(config, imageSize);
      await writeCodec(out, { description: { kind: "autoencoder", imageSize, shape, hash: hashWeights(weights), config }, weights });
    },
    close: decoder.close,
  };
}

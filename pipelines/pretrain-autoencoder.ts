/** pixels | autoencoder trainer | RUN with codec */
import { hashWeights, type Weights } from "../engine/weights.ts";
import { autoencoderConfig, latentShape } from "../models/codecs/autoencoder.ts";
import { isPixels } from "../models/codecs/codecs.ts";
import { Failure } from "../schemas/failure.ts";
import type { AutoencoderTrainer } from "../stages/workers/autoencoder-trainer.ts";
import { readCodec, writeCodec } from "../stages/runs/model.ts";
import { createPainter } from "../stages/sample/picture-decoder.ts";
import { type Job, orderOf, withTrainer } from "../stages/train/pretraining.ts";
import { latentBatches } from "../store/latents.ts";
import { pictureAt } from "../stages/runs/record.ts";
import { callsOf, identityOf, trainingLoop } from "../stages/train/loop.ts";

/** Trains our own autoencoder on a store of pixels. */
export async function pretrainAutoencoder(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { seed, engine } = settings;
  const { imageSize } = store.manifest;
  if (!isPixels(store.manifest.encoder.kind)) {
    throw new Failure(
      `Cannot train an autoencoder on ${data}: it holds "${store.manifest.encoder.kind}" latents. Ingest the images with --set encoder.kind=pixel.`,
    );
  }
  const optimiser = settings.pretrain.autoencoder;
  const config = autoencoderConfig(optimiser);
  await withTrainer<AutoencoderTrainer, void>({
    what: "autoencoder",
    module: new URL("../stages/workers/autoencoder-trainer.ts", import.meta.url),
    options: { config, imageSize, settings: optimiser, engine, seed },
    context,
    use: async (trainer) => {
      const codec = await readCodec(data);
      const painter = await createPainter({ codec, engine, context });
      let sample: Float32Array | undefined;
      const batches = async function* (fromStep: number) {
        for await (const { step, latent } of latentBatches(store, { ...orderOf(settings, optimiser), fromStep, signal: context.signal })) {
          sample ??= latent;
          yield { step, images: latent };
        }
      };
      try {
        const sets = await trainingLoop({
          name: "autoencoder",
          folder: out,
          schedule: optimiser,
          identity: identityOf({ config, optimiser, seed, data: summary.contents }),
          trainer: callsOf(trainer),
          context,
          batches,
          picture: async (step) => {
            if (!sample) return;
            const decoded = await trainer.call("reconstruct", sample);
            const length = 3 * imageSize * imageSize;
            const both = new Float32Array(2 * sample.length); // each image above its reconstruction, eight pairs a row
            for (let i = 0; i < optimiser.batch; i++) {
              const at = (Math.floor(i / 8) * 16 + (i % 8)) * length;
              both.set(sample.subarray(i * length, (i + 1) * length), at);
              both.set(decoded.subarray(i * length, (i + 1) * length), at + 8 * length);
            }
            await painter.paint({ path: pictureAt(out, step), latents: both, columns: 8 });
          },
        });
        const weights = sets.average as Weights;
        const shape = latentShape(config, imageSize);
        await writeCodec(out, { description: { kind: "autoencoder", imageSize, shape, hash: hashWeights(weights), config }, weights });
      } finally {
        await painter.close();
      }
    },
  });
}

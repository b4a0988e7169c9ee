/** latents | perceptual trainer | RUN: a classifier whose features E-LatentLPIPS compares */
import { hashWeights, type Weights } from "../engine/weights.ts";
import { perceptualConfig } from "../models/losses/perceptual.ts";
import { frequentWords, perceptualTargets } from "../models/text/words.ts";
import { Failure } from "../schemas/failure.ts";
import type { PerceptualTrainer } from "../stages/workers/perceptual-trainer.ts";
import { writeModel } from "../stages/runs/model.ts";
import { captionsOf, type Job, scaledBatches, withTrainer } from "../stages/train/pretraining.ts";
import { callsOf, identityOf, trainingLoop } from "../stages/train/loop.ts";

/** Trains the perceptual network on labels and caption words. */
export async function pretrainPerceptual(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { seed, engine, diffusion } = settings;
  const optimiser = settings.pretrain.perceptual;
  const { classes, shape } = store.manifest;
  const words = frequentWords(await captionsOf(store));
  if (classes.length === 0 && words.length === 0) {
    throw new Failure(`Cannot train a perceptual network on ${data}: its images have neither classes nor captions to learn from.`);
  }
  const config = perceptualConfig({ shape, width: optimiser.width, sigmaData: diffusion.sigmaData, classes: classes.length, words });
  await withTrainer<PerceptualTrainer, void>({
    what: "perceptual",
    module: new URL("../stages/workers/perceptual-trainer.ts", import.meta.url),
    options: { config, settings: optimiser, engine, seed },
    context,
    use: async (trainer) => {
      const batches = async function* (fromStep: number) {
        for await (const { step, latent, label, caption } of scaledBatches(job, optimiser, fromStep)) {
          const captions = caption.map((text) => text ?? "");
          yield { step, latents: latent, targets: perceptualTargets({ classes: classes.length, words, labels: label, captions }) };
        }
      };
      const sets = await trainingLoop({
        name: "perceptual",
        folder: out,
        schedule: optimiser,
        identity: identityOf({ config, optimiser, seed, data: summary.contents }),
        trainer: callsOf(trainer),
        context,
        batches,
      });
      const weights = sets.average as Weights;
      await writeModel(out, {
        description: {
          format: "onestep-model",
          version: 1,
          role: "perceptual",
          hash: hashWeights(weights),
          config: { ...config, shape, words },
        },
        weights,
      });
    },
  });
}

/** What each step of the student's training is given: triples and, once the discriminator plays, real images. */
import type { TrainSettings } from "../../schemas/settings.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/store.ts";
import type { StudentBatch } from "../workers/student-trainer.ts";
import type { Conditions } from "../../models/conditions.ts";
import { latentBatches } from "../../store/latents.ts";
import type { Statistics } from "../../store/statistics.ts";
import type { Store } from "../../store/store.ts";
import { tripleBatches } from "../../store/triples.ts";

/**
 * Batches from a step on, a pure function of the step. Images come in an order of their own, from the finished store: the
 * first one is waited for at `adversarialStart`.
 */
export async function* studentBatches(options: {
  triples: Store<TripleManifest>;
  /** The images' latents, and how the teacher normalises them. */
  images?: { store: Store<LatentManifest>; statistics: Statistics; sigmaData: number };
  conditions: Conditions;
  settings: TrainSettings;
  seed: number;
  fromStep: number;
  signal: AbortSignal;
}): AsyncGenerator<StudentBatch> {
  const { triples, images, conditions, settings, seed, fromStep, signal } = options;
  const order = { ...settings, seed, fromStep, toStep: settings.steps, signal };
  const share = settings.adversarialWeight > 0 ? settings.imageShare : 0;
  const rows = Math.round(settings.batch * share); // of the discriminator's real ones; the rest are the teacher's
  const real =
    images && rows > 0
      ? latentBatches(images.store, {
          ...{ ...order, batch: rows, fromStep: Math.max(fromStep, settings.adversarialStart) },
          ...{ firstShards: Number.POSITIVE_INFINITY, stepsPerShard: 1, scale: images },
        })
      : undefined;
  try {
    for await (const { step, noise, latent, ...given } of tripleBatches(triples, order)) {
      const batch = { step, noise, latent, conditions: conditions.inputs(given) };
      const image = step >= settings.adversarialStart ? await real?.next() : undefined;
      yield image?.value ? { ...batch, image: { latent: image.value.latent, conditions: conditions.inputs(image.value) } } : batch;
    }
  } finally {
    await real?.return(undefined);
  }
}

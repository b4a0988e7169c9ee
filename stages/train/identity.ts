/** What a training is a function of, as one hash: a checkpoint made with another is refused. */
import type { Job } from "../../methods/method.ts";
import { type AnyMethod, picked } from "../../methods/registry.ts";
import { orderSettings, type TrainingSettings } from "../../schemas/settings.ts";
import { textHash } from "../../store/hash.ts";

/**
 * The hash of the method, its own settings, the optimiser's, the seed, the order of rows where the store may grow, and of
 * `data`: hashes of all that is read. Settings that say when something is written, or with how many threads, do not count.
 */
export function identityOf(options: { method: AnyMethod; job: Job<never>; settings: TrainingSettings; data: unknown }): string {
  const { method, job, settings, data } = options;
  const order = picked(settings, Object.keys(orderSettings.shape));
  const { settings: own, optimiser, seed, subject } = job;
  return textHash(JSON.stringify({ method: method.name, own, optimiser, order, seed, subject: { ...subject, plan: undefined }, data }));
}

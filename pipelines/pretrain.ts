/** latent store | shuffled batches | trainer | run folder: for the teacher, the autoencoder and the perceptual network */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { Settings } from "../schemas/settings.ts";
import { openLatentStore } from "../store/latents.ts";
import { readSummary } from "../store/summary.ts";
import { pretrainAutoencoder } from "./pretrain-autoencoder.ts";
import { pretrainPerceptual } from "./pretrain-perceptual.ts";
import { pretrainTeacher } from "./pretrain-teacher.ts";

/**
 * Trains a network on a latent store: `what` is "teacher", "autoencoder" (the store must hold pixels: encoder.kind
 * "pixel") or "perceptual". Resumes exactly; throws a Failure when the store is unfinished or of another kind.
 */
export async function pretrain(options: {
  what: "teacher" | "autoencoder" | "perceptual";
  data: string;
  out: string;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { what, data, out, settings, context } = options;
  const store = await openLatentStore({ folder: data });
  const summary = await readSummary(store);
  if (!summary) throw new Failure(`Cannot pretrain on ${data}: the store is unfinished. Repeat the ingest command that made it.`);
  await writeSettings(out, settings);
  await { teacher: pretrainTeacher, autoencoder: pretrainAutoencoder, perceptual: pretrainPerceptual }[what]({
    ...{ store, summary, data, out, settings, context },
  });
  context.report({ type: "result", stage: `pretrain ${what}`, values: { out } });
}

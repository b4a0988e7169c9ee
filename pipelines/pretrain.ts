/**
 * pipeline pretrain WHAT --data LATENTS --out RUN
 *
 * rows | steps | measured | recorded | kept, for a teacher, an autoencoder, a perceptual network, an image tokenizer and a prior
 */
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { prepareAutoencoder } from "../stages/train/prepare/autoencoder.ts";
import { preparePerceptual } from "../stages/train/prepare/perceptual.ts";
import { type Asked, openPretraining, openTokenPretraining, type What } from "../stages/train/prepare/pretraining.ts";
import { preparePrior } from "../stages/train/prepare/prior.ts";
import { prepareTeacher } from "../stages/train/prepare/teacher.ts";
import { prepareTokenizer } from "../stages/train/prepare/tokenizer.ts";
import { inPlaceOf, type Push } from "../stages/runs/mirror.ts";
import type { Training } from "../stages/train/training.ts";
import { trained } from "./train.ts";

/** On latents, and of the prior on tokens. */
const prepare: Readonly<Record<What, (asked: Asked) => Promise<Training<void>>>> = {
  teacher: async (asked) => prepareTeacher(await openPretraining(asked)),
  autoencoder: async (asked) => prepareAutoencoder(await openPretraining(asked)),
  perceptual: async (asked) => preparePerceptual(await openPretraining(asked)),
  tokenizer: async (asked) => prepareTokenizer(await openPretraining(asked)),
  prior: async (asked) => preparePrior(await openTokenPretraining(asked)),
};

/**
 * Trains a network on a latent store: `what` is "teacher", "autoencoder" (the store must hold pixels: encoder.kind "pixel"),
 * "perceptual" or "tokenizer"; or a "prior" on a token store. Resumes exactly; throws a Failure when the store is unfinished or
 * of another kind.
 */
export async function pretrain(options: {
  what: What;
  data: string;
  out: string;
  /** Sends what has changed after each checkpoint, where `out` is a part of what stands for a URL. */
  push?: Push | undefined;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { what, settings } = options;
  await inPlaceOf({ out: options.out, kind: what, command: "pretrain", context: options.context }, async (place) => {
    const { out, push = options.push, context } = place;
    await trained({ ...(await prepare[what]({ ...options, out, context })), push }, { settings, context });
    context.report({ type: "result", stage: `pretrain ${what}`, values: { out } });
  });
}

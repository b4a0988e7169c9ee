/**
 * pipeline pretrain WHAT --data LATENTS --out RUN
 *
 * rows | steps | measured | recorded | kept, for a teacher, an autoencoder, a perceptual network, an image tokenizer and a prior
 */
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { prepareAutoencoder } from "../stages/train/prepare/autoencoder.ts";
import { preparePerceptual } from "../stages/train/prepare/perceptual.ts";
import { type Asked, openPretraining, openTokenPretraining, type What } from "../stages/train/prepare/pretraining.ts";
import { preparePrior } from "../stages/train/prepare/prior.ts";
import { prepareTeacher } from "../stages/train/prepare/teacher.ts";
import { prepareTokenizer } from "../stages/train/prepare/tokenizer.ts";
import { mirrored, type Push } from "../stages/runs/mirror.ts";
import type { Training } from "../stages/train/training.ts";
import { isUrl } from "../store/place.ts";
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
export async function pretrain(options: { what: What; data: string; out: string; settings: Settings; context: Context }): Promise<void> {
  const { what, out, context } = options;
  if (!isUrl(out)) return pretrainIn(options);
  await inFolder({ folder: out, kind: what, command: "pretrain", context }, () =>
    mirrored({ url: out, command: "pretrain", context }, ({ folder, ...rest }) => pretrainIn({ ...options, out: folder, ...rest })),
  );
}

/** Trains it in a folder of this machine. */
async function pretrainIn(options: Parameters<typeof pretrain>[0] & { push?: Push }): Promise<void> {
  const { what, out, push, settings, context } = options;
  await inFolder({ folder: out, kind: what, command: "pretrain", context }, async () => {
    await trained({ ...(await prepare[what](options)), push }, { settings, context });
  });
  context.report({ type: "result", stage: `pretrain ${what}`, values: { out } });
}

/**
 * pipeline pretrain WHAT --data LATENTS --out RUN
 *
 * rows | steps | measured | recorded | kept, for the teacher, the autoencoder, the perceptual network and the image tokenizer
 */
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { prepareAutoencoder } from "../stages/train/prepare/autoencoder.ts";
import { preparePerceptual } from "../stages/train/prepare/perceptual.ts";
import { openPretraining, type What } from "../stages/train/prepare/pretraining.ts";
import { prepareTeacher } from "../stages/train/prepare/teacher.ts";
import { prepareTokenizer } from "../stages/train/prepare/tokenizer.ts";
import { trained } from "./train.ts";

const prepare = {
  ...{ teacher: prepareTeacher, autoencoder: prepareAutoencoder },
  ...{ perceptual: preparePerceptual, tokenizer: prepareTokenizer },
};

/**
 * Trains a network on a latent store: `what` is "teacher", "autoencoder" (the store must hold pixels: encoder.kind
 * "pixel"), "perceptual" or "tokenizer". Resumes exactly; throws a Failure when the store is unfinished or of another kind.
 */
export async function pretrain(options: { what: What; data: string; out: string; settings: Settings; context: Context }): Promise<void> {
  const { what, out, settings, context } = options;
  await inFolder({ folder: out, kind: what, command: "pretrain", context }, async () => {
    await trained(await prepare[what](await openPretraining(options)), { settings, context });
  });
  context.report({ type: "result", stage: `pretrain ${what}`, values: { out } });
}

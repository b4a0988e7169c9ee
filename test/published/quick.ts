/** Settings for distilling a published teacher of any size in a test. */
import { tinySettings } from "../train/fixture.ts";

/** Settings for a teacher of any size: few rows, few steps. */
export function quick(method: string) {
  const settings = tinySettings({
    simulate: { count: 8, steps: 2, guidance: 1, batch: 8, rowsPerShard: 8 },
    train: { method, steps: 2, batch: 4, distanceEvery: 0, pictureEvery: 2, checkpointEvery: 2, warmup: 0 },
  });
  const plain = { discriminator: "features", adversarialWeight: 0, perceptualWeight: 0, latentWeight: 1 };
  const diffusion2gan = { ...(settings.train.diffusion2gan as object), ...plain };
  const tlcm = { ...(settings.train.tlcm as object), lastPart: 0 };
  return { ...settings, train: { ...settings.train, diffusion2gan, tlcm } };
}

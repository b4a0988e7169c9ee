/** Settings for distilling a published teacher of any size in a test. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freshFolder } from "../simulate/fixture.ts";
import { tinySettings } from "../train/fixture.ts";

/** What {@link prompted} asks for, in turn. */
export const PROMPTS = ["a red fox", "two owls at night", "an old bridge"];

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

/** A fresh folder with a file of prompts, and settings that name it, with guidance. */
export async function prompted(method: string): Promise<{ folder: string; settings: ReturnType<typeof quick> }> {
  const folder = freshFolder();
  await mkdir(folder, { recursive: true });
  const prompts = join(folder, "prompts.txt");
  await writeFile(prompts, `${PROMPTS.join("\n")}\n`);
  const settings = quick(method);
  return { folder, settings: { ...settings, simulate: { ...settings.simulate, prompts, guidance: 3 } } };
}

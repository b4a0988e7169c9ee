/** A study small enough to be made several times in a test: two classes of noise, an untrained teacher, a few steps. */
import { writeFileSync } from "node:fs";
import { normals } from "../../schemas/numbers/philox.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { openCodec, writeCodec } from "../../stages/runs/model.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { idRange, writeShard } from "../../store/shards/store.ts";
import type { Study } from "../../stages/study/studies.ts";
import { CLASSES, contextOf, freshFolder, LENGTH, settingsOf, SIZE, writeRun } from "../simulate/fixture.ts";

export interface Ground {
  store: string;
  teacher: string;
  reference: string;
  settings: Settings;
}

/** Two variants, of which the first is the worse. */
export const twoVariants: Study = {
  name: "two",
  about: "two rates",
  source: "nobody",
  method: "diffusion2gan",
  variants: [
    { name: "fast", about: "a high rate", published: 2, changes: {}, training: { learningRate: 0.05 } },
    { name: "slow", about: "a low rate", published: 1, changes: {}, training: { learningRate: 1e-4 } },
  ],
};

/** Enough for the 64 features of the built-in network. */
const IMAGES = 128;

/** A teacher, its triples, and a latent store of real images to compare with. */
export async function layGround(): Promise<Ground> {
  const features = `${freshFolder()}.safetensors`;
  const base = settingsOf({ count: 24, steps: 2, guidance: 1 });
  const settings = settingsSchema.parse({
    ...base,
    train: {
      ...(presetNamed("smoke").settings.train as object),
      steps: 6,
      checkpointEvery: 2,
      pictureEvery: 100,
      distanceEvery: 0,
      diffusion2gan: { perceptualWeight: 0, adversarialWeight: 0 },
    },
    evaluate: { count: IMAGES, batch: 32, features },
  });
  const teacher = await writeRun();
  const store = freshFolder();
  await simulate({ teacher, out: store, settings, context: contextOf() });
  writeFileSync(features, encodeSafetensors({ tensors: initBuiltin({ targets: 2 }, 1) }));
  return { store, teacher, reference: await writeImages(settings), settings };
}

async function writeImages(settings: Settings): Promise<string> {
  const reference = freshFolder();
  const store = await createLatentStore({
    folder: reference,
    manifest: {
      shape: [SIZE, SIZE, 3],
      dtype: "float32",
      entries: IMAGES,
      rowsPerShard: 64,
      classes: CLASSES,
      imageSize: SIZE,
      encoder: { kind: "pixel", hash: "pixel" },
      source: { fingerprint: "s" },
      engine: { device: "cpu", version: "test" },
    },
  });
  for (const shard of [0, 1]) {
    const { from, to } = idRange(store.manifest, shard);
    const rows = Array.from({ length: to - from }, (_, i) => ({
      index: from + i,
      name: `${from + i}.png`,
      label: i % CLASSES.length,
      caption: "",
      latent: normals({ seed: 7, stream: "image", offset: (from + i) * LENGTH, length: LENGTH }).map((value) => Math.tanh(value / 2)),
    }));
    await writeShard(store, { shard, rows, failed: [] });
  }
  await writeCodec(reference, await openCodec(settings));
  return reference;
}

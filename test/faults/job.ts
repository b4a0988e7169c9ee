/** A job small enough to be done dozens of times: images of three classes, an untrained teacher, and every command. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { integers } from "../../schemas/numbers/philox.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { Context } from "../../schemas/events.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { encodePng } from "../fixtures/png.ts";
import { CLASSES, contextOf, freshFolder, SIZE, settingsOf, writeRun } from "../simulate/fixture.ts";

export interface Job {
  images: string;
  teacher: string;
  /** Triples to train on. */
  triples: string;
}

export const settings: Settings = settingsSchema.parse({
  ...settingsOf({ count: 60, rowsPerShard: 3, batch: 3, steps: 2 }),
  encoder: { rowsPerShard: 3 },
  train: { ...(presetNamed("smoke").settings.train as object), steps: 12, batch: 4, warmup: 0, checkpointEvery: 2, pictureEvery: 6 },
  evaluate: { count: 8 },
});

/** What reprocess is asked for: nothing that needs the teacher. */
const halved: Settings = { ...settings, simulate: { ...settings.simulate, noise: "stored", dtype: "float16" } };

/** The commands under test, each into a folder of its own; a process that is killed loads its own alone. */
export const commands: Record<string, (job: Job, out: string, context: Context) => Promise<unknown>> = {
  ingest: async ({ images }, out, context) =>
    (await import("../../pipelines/ingest.ts")).ingest({ images: [images], out, settings, context }),
  simulate: ({ teacher }, out, context) => simulate({ teacher, out, settings, context }),
  train: async ({ triples, teacher }, out, context) =>
    (await import("../../pipelines/train.ts")).train({ store: triples, teacher, out, settings, context }),
  reprocess: async ({ triples }, out, context) =>
    (await import("../../pipelines/reprocess.ts")).reprocess({ path: triples, to: out, settings: halved, context }),
  run: async ({ images, teacher }, out, context) =>
    (await import("../../pipelines/run.ts")).run({ images: [images], teacher, out, settings, context }),
};

/** Draws the images and makes the teacher and its triples. */
export async function prepareJob(): Promise<Job> {
  const images = freshFolder();
  for (let i = 0; i < 60; i++) {
    const folder = join(images, CLASSES[i % 3] as string);
    mkdirSync(folder, { recursive: true });
    const length = 3 * SIZE * SIZE;
    const samples = integers({ seed: 4, stream: "images", offset: i * length, length, below: 256 });
    writeFileSync(join(folder, `${i}.png`), i === 17 ? "torn" : encodePng({ width: SIZE, height: SIZE, samples }));
  }
  const job = { images, teacher: await writeRun(), triples: freshFolder() };
  await simulate({ teacher: job.teacher, out: job.triples, settings, context: contextOf() });
  return job;
}

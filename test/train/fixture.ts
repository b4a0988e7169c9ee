/** A tiny job: coloured squares in two class folders, and the `smoke` preset. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { sharp } from "../../schemas/sharp.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import type { Context, PipelineEvent } from "../../schemas/events.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { madeOnce } from "../fixtures/made-once.ts";

export { inFolder } from "../fixtures/folders.ts";

/** Settings of the smoke preset, with changes. */
export function tinySettings(changes: { train?: Partial<Settings["train"]>; simulate?: Partial<Settings["simulate"]> } = {}): Settings {
  const tiny = presetNamed("smoke").settings as { train: Partial<Settings["train"]>; simulate: object };
  const diffusion2gan = { ...(tiny.train.diffusion2gan as object), ...(changes.train?.diffusion2gan as object) };
  return settingsSchema.parse({
    ...tiny,
    train: { ...tiny.train, ...changes.train, diffusion2gan },
    simulate: { ...tiny.simulate, ...changes.simulate },
    engine: { threads: 1 },
  });
}

/** A context that keeps its events, and a way to stop it. */
export function recordingContext(): { context: Context; events: PipelineEvent[]; stop: (reason: unknown) => void } {
  const controller = new AbortController();
  const events: PipelineEvent[] = [];
  const context = { signal: controller.signal, report: (event: PipelineEvent) => void events.push(event) };
  return { context, events, stop: (reason) => controller.abort(reason) };
}

/** Writes 24 pictures of 16 px: squares on a plain ground, warm colours in one class, cold ones in the other. */
export async function writeSquares(folder: string): Promise<string> {
  const images = join(folder, "images");
  for (let i = 0; i < 24; i++) {
    const [x, y, tone] = integers({ seed: 3, stream: "squares", offset: 3 * i, length: 3, below: 8 });
    const warm = i % 2 === 0;
    const pixels = new Uint8Array(16 * 16 * 3);
    for (let p = 0; p < 256; p++) {
      const inside = p % 16 >= x! && p % 16 < x! + 8 && p >= 16 * y! && p < 16 * (y! + 8);
      pixels.set(inside ? (warm ? [250, 20 * tone!, 30] : [30, 20 * tone!, 250]) : [200, 200, 200], 3 * p);
    }
    const home = join(images, warm ? "warm" : "cold");
    await mkdir(home, { recursive: true });
    await sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toFile(join(home, `${i}.png`));
  }
  return images;
}

/** What a training writes that tells the time. */
const CLOCKS = /run\.html$|tensorboard/;

/** Every file below a folder with its bytes in hex, but those that tell the time and those that `ignore` matches. */
export async function contents(folder: string, ignore = /^$/): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const name = path.slice(folder.length + 1);
    if (entry.isFile() && !ignore.test(name) && !CLOCKS.test(name)) files[name] = (await readFile(path)).toString("hex");
  }
  return files;
}

/** Latents, a teacher and its triples of the squares in `folder`, and a context for what follows. */
export async function withTriples(folder: string, settings: Settings) {
  const { train: _, ...of } = settings; // nothing of it counts before training
  const make = async (fresh: string): Promise<void> => {
    const { context } = recordingContext();
    const made = (name: string): string => join(fresh, name);
    await ingest({ images: [await writeSquares(fresh)], out: made("latents"), settings, context });
    await pretrain({ what: "teacher", data: made("latents"), out: made("teacher"), settings, context });
    await simulate({ teacher: made("teacher"), out: made("triples"), settings, context });
  };
  await madeOnce(folder, { name: "triples", of, make });
  const at = (name: string): string => join(folder, name);
  return { at, context: recordingContext().context };
}

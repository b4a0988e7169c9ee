/** Looks into a store or run: facts | rows | picture grid */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { describeRun } from "../stages/inspect/run.ts";
import { captionOf, describeStore, firstRows, rowLines } from "../stages/inspect/store.ts";
import { readCodec } from "../stages/model.ts";
import { createPainter } from "../stages/painter.ts";
import { denormalise, type Statistics } from "../stages/store/statistics.ts";
import { openStore, type Store } from "../stages/store/store.ts";
import { stacked } from "../stages/store/latents.ts";

/** Turns latents of a store, one after the other, into a picture grid at `path`. */
export type Draw = (options: { path: string; latents: Float32Array; captions: string[] }) => Promise<void>;

/**
 * Reports what a store or run holds; of a store also its first `rows` rows, and its first `limit` latents as the PNG
 * `grid`, drawn by the codec that the store holds unless `draw` is given. Throws a usage failure for any other folder.
 */
export async function inspect(options: {
  path: string;
  rows?: number;
  grid?: string;
  limit?: number;
  draw?: Draw;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { path, rows = 0, grid, limit = 64, settings, context } = options;
  const { report, signal } = context;
  if (!existsSync(join(path, "store.json"))) {
    const facts = await describeRun(path);
    if (!facts) throw badUsage(`Cannot inspect "${path}": it is neither a store nor a run. ${remedyFor(path)}`);
    if (rows > 0 || grid)
      throw badUsage(`Cannot show rows of "${path}": it is a run; its pictures are in ${join(path, "pictures")}`);
    report({ type: "result", stage: path, values: facts });
    return;
  }
  const store = await openStore({ folder: path });
  const { facts, channels } = await describeStore(store, signal);
  report({ type: "result", stage: path, values: facts });
  if (channels) report({ type: "result", stage: "latents", values: channels });

  const { classes } = store.manifest;
  const first = await firstRows(store, Math.max(rows, grid ? limit : 0));
  if (rows > 0)
    report({ type: "note", stage: "rows", message: `${rowLines(first.slice(0, rows), classes).join("\n")}\n` });
  if (!grid) return;
  const shown = first.slice(0, limit);
  const draw = options.draw ?? drawWith(store, settings, context);
  await draw({
    path: grid,
    latents: stacked(shown.map(({ latent }) => latent)),
    captions: shown.map((row) => captionOf(row, classes)),
  });
  report({ type: "result", stage: "grid", values: { pictures: shown.length, path: grid } });
}

/** What to inspect instead: the parts of a folder that `run` made, where it is one. */
function remedyFor(path: string): string {
  const parts = ["latents", "triples", "student", "teacher"].filter((name) => existsSync(join(path, name)));
  return parts.length > 0
    ? `It holds ${parts.join(", ")}: inspect one of these, as in ${join(path, parts[0]!)}.`
    : "Name a folder that --out named.";
}

/** Draws through the codec beside the store. A triple's latent is in the teacher's scale, which is undone first. */
function drawWith(store: Store, { engine }: Settings, context: Context): Draw {
  return async ({ path, latents, captions }) => {
    const { manifest, folder } = store;
    const painter = await createPainter({ codec: await readCodec(folder), engine, context });
    try {
      const statistics =
        manifest.kind === "triples" ? (manifest.teacher.statistics as Statistics | undefined) : undefined;
      const raw =
        manifest.kind === "triples" && statistics
          ? denormalise(latents, statistics, manifest.diffusion.sigmaData)
          : latents;
      await painter.paint({ path, latents: raw, columns: 8, captions });
    } finally {
      await painter.close();
    }
  };
}

/** The picture that says it all: the teacher's result of many evaluations above the student's of one, noise by noise. */
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { openGenerator } from "./generator.ts";
import { readDenoiser } from "./model.ts";
import { createPainter } from "./painter.ts";
import { readCodec } from "./model.ts";
import type { Picture } from "./picture/grid.ts";
import { writeGrid } from "./picture/write-grid.ts";
import { stacked } from "./store/latents.ts";
import { openTripleStore, readTriples } from "./store/triples.ts";

const COLUMNS = 8;

/** Paints the first rows of a triple store and what the student makes of the same noise and conditions. */
export async function paintPairs(options: {
  path: string;
  store: string;
  model: string;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { path, model, settings, context } = options;
  const store = await openTripleStore({ folder: options.store });
  const rows = (await readTriples(store, 0)).slice(0, 3 * COLUMNS);
  const { spec, statistics, classes } = { ...(await readDenoiser(model)).description, classes: store.manifest.classes };
  const painter = await createPainter({ codec: await readCodec(model), spec, statistics, engine: settings.engine, context });
  const generator = await openGenerator({ path: model, settings, context });
  try {
    const above = await painter.decode(stacked(rows.map(({ latent }) => latent)));
    const below: Picture[] = [];
    const labels = Int32Array.from(rows, ({ label }) => label ?? -1);
    const captions = rows.map(({ caption }) => caption ?? null);
    const size = settings.images.size;
    const asked = { seed: Number(store.manifest.seed), start: 0, count: rows.length, labels, captions };
    for await (const { pixels } of generator.sample(asked)) below.push({ pixels, width: size, height: size });
    const images: Picture[] = [];
    const words: string[] = [];
    for (let at = 0; at < rows.length; at += COLUMNS) {
      const end = Math.min(at + COLUMNS, rows.length);
      images.push(...above.slice(at, end), ...below.slice(at, end));
      const said = rows.slice(at, end).map(({ caption, label }) => caption ?? classes[label ?? -1] ?? "");
      words.push(...said.map(() => ""), ...said);
    }
    const rowLabels = Array.from({ length: Math.ceil(images.length / COLUMNS) }, (_, i) =>
      i % 2 === 0 ? `teacher, ${store.manifest.solver.steps} steps` : "student, 1 call",
    );
    await writeGrid({ path, images, columns: COLUMNS, captions: words, rowLabels, scale: 2 });
  } finally {
    await generator.close();
    await painter.close();
  }
}

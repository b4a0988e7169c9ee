/** Writes the report of a store as one HTML file that a colleague can open. */
import { lastName } from "../../../store/places/place.ts";
import type { Context } from "../../../schemas/events.ts";
import { version } from "../../../schemas/package.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { EngineSettings } from "../../../schemas/settings.ts";
import { readLeftOut } from "../../../store/records/left-out.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import type { Store } from "../../../store/shards/store.ts";
import { idOf, rowOfId, type Selected, selectRows } from "../rows.ts";
import { factsOf } from "../facts.ts";
import { damagedShards, type Survey } from "../survey.ts";
import { openViewer } from "../viewer.ts";
import type { Condition } from "../where.ts";
import { describeRow, picturesOf } from "./gallery.ts";
import { pageOf } from "./page.ts";
import type { GalleryRow } from "./row.ts";
import { sectionsOf } from "./sections.ts";

const together = 32; // rows decoded at once
const most = 256e6; // letters of pictures in one page: what a browser opens, and half of what a string holds

/** The gallery holds `limit` rows: the first that `where` selects, or some spread over the store; and those that stand out. */
export async function writeReport(options: {
  store: Store;
  survey: Survey;
  path: string;
  where?: Condition;
  limit: number;
  engine: EngineSettings;
  context: Context;
}): Promise<{ path: string; pictures: number; bytes: number }> {
  const { store, survey, path, where, limit, engine, context } = options;
  const { manifest } = store;
  const every = Math.max(1, Math.ceil(survey.rows / limit));
  let row = 0;
  const spread: Condition = () => row++ % every === 0;
  const damaged = damagedShards(survey);
  const chosen = selectRows(store, { where: where ?? spread, limit, except: damaged, signal: context.signal });

  const viewer = await openViewer(store, engine, context);
  const rows = new Map<number, GalleryRow>();
  let letters = 0;
  const add = async (selected: Selected[]) => {
    const views = await viewer.view(selected.map(({ row }) => row));
    for (const [i, each] of selected.entries()) {
      const pictures = await picturesOf(views[i]!);
      rows.set(idOf(each.row), { ...describeRow(manifest, each), ...pictures });
      letters += pictures.image.length + (pictures.noise?.length ?? 0);
    }
    if (letters > most) {
      const room = Math.floor(rows.size * 0.9);
      throw new Failure(
        `Cannot put ${limit} rows of ${store.folder} into one page: the pictures of ${rows.size} fill it. ` +
          `Name a --limit of ${room} or less, or look at all rows with pipeline serve ${store.folder}.`,
      );
    }
    context.report({ type: "progress", stage: "pictures", done: rows.size, unit: "rows" });
  };
  try {
    let waiting: Selected[] = [];
    for await (const each of chosen) {
      if (waiting.push(each) < together) continue;
      await add(waiting);
      waiting = [];
    }
    const notable = [...survey.farthest, ...survey.peaks]
      .map(({ id }) => id)
      .filter(
        (id) => !damaged.has(Math.floor(id / manifest.rowsPerShard)) && !rows.has(id) && !waiting.some(({ row }) => idOf(row) === id),
      );
    for (const id of new Set(notable)) waiting.push(await rowOfId(store, id));
    if (waiting.length > 0) await add(waiting);
  } finally {
    await viewer.close();
  }
  const selection = where
    ? "The first rows that fit, and those that stand out."
    : every === 1
      ? "Every row."
      : `One row in ${every}, and those that stand out.`;
  const html = pageOf({
    name: lastName(store.folder),
    manifest,
    version: version(),
    sections: sectionsOf(manifest, await factsOf(store, survey), survey, await readLeftOut(store)),
    rows: [...rows.values()].sort((a, b) => a.id - b.id),
    selection,
  });
  await writeAtomic(path, html);
  return { path, pictures: rows.size, bytes: Buffer.byteLength(html) };
}

/** Rows of a store for people: a line each, and pictures on one sheet. */
import type { Context } from "../../schemas/events.ts";
import { badUsage } from "../../schemas/failure.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import type { Store } from "../../store/shards/store.ts";
import { writeGrid } from "../picture/write-grid.ts";
import { rowLine } from "./facts.ts";
import { captionOf, idOf, selectRows, type StoreRow } from "./rows.ts";
import { openViewer, sideBySide } from "./viewer.ts";
import type { Condition } from "./where.ts";

const together = 256; // rows printed at once
const mostDrawn = 4096; // pictures: what viewers open

/**
 * Prints the first `rows` rows as they come, and draws the first `limit` into the PNG `grid`: those that `where` selects,
 * of all shards but `except`. Throws a usage failure for more pictures than one sheet holds.
 */
export async function showRows(options: {
  store: Store;
  rows?: number;
  grid?: string;
  limit?: number;
  where?: Condition;
  except: ReadonlySet<number>;
  engine: EngineSettings;
  context: Context;
}): Promise<void> {
  const { store, rows = 0, grid, limit = 64, where, except, engine, context } = options;
  const { report, signal } = context;
  if (grid && limit > mostDrawn) {
    throw badUsage(
      `Cannot draw ${limit} rows on one sheet: it holds at most ${mostDrawn}. Name a smaller --limit, or look with pipeline serve.`,
    );
  }
  const { classes } = store.manifest;
  const shown: StoreRow[] = []; // to be drawn
  let lines: string[] = [];
  let seen = 0;
  const most = Math.max(rows, grid ? limit : 0);
  for await (const { row } of selectRows(store, { where, limit: most, except, signal })) {
    if (seen < rows) lines.push(rowLine(row, classes));
    if (grid && seen < limit) shown.push(row);
    seen++;
    if (lines.length < together) continue;
    report({ type: "note", stage: "rows", message: lines.join("\n") });
    lines = [];
  }
  if (seen === 0) return report({ type: "note", stage: "rows", message: where ? "no row fits --where" : "no row is there yet" });
  if (rows > 0) report({ type: "note", stage: "rows", message: `${lines.join("\n")}\n` });
  if (!grid) return;
  const viewer = await openViewer(store, engine, context);
  try {
    const views = await viewer.view(shown, { states: true });
    const { image, states = [] } = views[0]!;
    const columns = Math.max(1, Math.floor(16 / (2 + states.length))); // as wide, whatever stands in a line
    const captions = shown.map((row) =>
      store.manifest.kind === "triples" ? [`${idOf(row)}`, captionOf(row, classes)].filter(Boolean).join(" ") : captionOf(row, classes),
    );
    await writeGrid({ path: grid, images: views.map(sideBySide), columns, captions, scale: image.width < 48 ? 2 : 1 });
  } finally {
    await viewer.close();
  }
  report({ type: "result", stage: "grid", values: { pictures: shown.length, path: grid } });
}

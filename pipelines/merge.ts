/**
 * pipeline merge STORES... --out STORE
 *
 * stores made apart | checked shards | one store
 */
import type { Context } from "../schemas/events.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { mergeStores } from "../store/merge.ts";
import { countMissing } from "../store/present.ts";
import { sealStore, type Summary } from "../store/summary.ts";

/**
 * Copies the shards of stores of the same settings into one at `out`, and finishes it when all are there. Throws a
 * Failure when the stores do not belong together or have different shards of one number.
 */
export async function merge(options: { stores: string[]; out: string; context: Context }): Promise<Summary | undefined> {
  const { out: folder, context } = options;
  return inFolder({ folder, kind: "store", command: "merge", shared: true, context }, () => fill(options));
}

async function fill({ stores, out, context }: Parameters<typeof merge>[0]): Promise<Summary | undefined> {
  const { signal, report } = context;
  const onShard = (done: number, total: number) => report({ type: "progress", stage: "merge", done, total, unit: "shards" });
  const { store, copied, shared } = await mergeStores({ from: stores, to: out, signal, onShard });
  const { missing } = await countMissing(store);
  const summary = missing === 0 ? await sealStore(store, { signal }) : undefined;
  if (missing > 0) report({ type: "note", stage: "merge", message: `${missing} of ${store.shards} shards are still to be made` });
  report({ type: "result", stage: "merge", values: { out, copied, "in several": shared, missing, of: store.shards } });
  return summary;
}

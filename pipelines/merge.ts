/**
 * pipeline merge STORES... --out STORE [--repair]
 *
 * stores made apart | checked shards | one store
 */
import type { Context } from "../schemas/events.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { mergeStores } from "../store/making/merge.ts";
import { countMissing } from "../store/records/present.ts";
import type { Summary } from "../store/shards/summary.ts";
import { finishWork } from "../store/making/work.ts";

/**
 * Copies the shards of stores of the same settings into one at `out`, and finishes it when all are there. `repair` verifies what is
 * there, and copies damaged shards again. Throws a Failure when the stores do not belong together or have different shards of one number.
 */
export async function merge(options: { stores: string[]; out: string; repair?: boolean; context: Context }): Promise<Summary | undefined> {
  const { out: folder, repair, context } = options;
  return inFolder({ folder, kind: "store", command: "merge", shared: !repair, context }, () => fill(options));
}

async function fill({ stores, out, repair, context }: Parameters<typeof merge>[0]): Promise<Summary | undefined> {
  const { report } = context;
  const { store, copied, shared, repaired } = await mergeStores({ from: stores, to: out, repair, ...context });
  const { missing } = await countMissing(store);
  const summary = missing === 0 ? await finishWork(store, { ...context, repaired, stage: "merge" }) : undefined;
  if (missing > 0) report({ type: "note", stage: "merge", message: `${missing} of ${store.shards} shards are still to be made` });
  report({ type: "result", stage: "merge", values: { out, copied, "in several": shared, missing, of: store.shards } });
  return summary;
}

import type { TripleManifest } from "../../schemas/manifest.ts";
import { Failure } from "../../schemas/failure.ts";
import type { RowCondition, RowConditions } from "../simulate/row-conditions.ts";
import type { Store } from "../../store/shards/store.ts";
import { keptOf } from "./kept.ts";

/**
 * The conditions that the rows of a store have; none for rows that failed and whose failure `keepsFailure`. Throws a
 * Failure for an id whose condition the store cannot tell.
 */
export function storedConditions(store: Store<TripleManifest>, keepsFailure: (id: number) => boolean): Pick<RowConditions, "of"> {
  let last: { shard: number; kept: Awaited<ReturnType<typeof keptOf>> } | undefined;
  return {
    of: async ({ from, to }) => {
      const found: RowCondition[] = [];
      for (let id = from; id < to; id++) {
        const shard = Math.floor(id / store.manifest.rowsPerShard);
        if (last?.shard !== shard && shard < store.shards) last = { shard, kept: await keptOf(store, shard) };
        const row = last?.kept.rows.get(id);
        if (!row && !(last?.kept.failed.has(id) && keepsFailure(id))) {
          throw new Failure(
            `Cannot tell the condition of row ${id} from ${store.folder}: it has no such row. ` +
              "Name the latent store it was simulated with: --conditions LATENTS.",
          );
        }
        found.push(row ? { imageIndex: row.imageIndex, label: row.label, caption: row.caption } : {});
      }
      return found;
    },
  };
}

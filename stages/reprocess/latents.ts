import type { LatentManifest } from "../../schemas/manifest.ts";
import type { LatentShard } from "../encode/encode.ts";
import type { LatentRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { idRange, readFailures, readShard, type Store } from "../../store/shards/store.ts";

/** Shards of a latent store made of the rows of another, cut otherwise. Holds one shard of the other. */
export function takeLatents({
  from,
  to,
}: {
  from: Store<LatentManifest>;
  to: Store<LatentManifest>;
}): (shard: number) => Promise<LatentShard> {
  let last: { shard: number; rows: LatentRow[]; failed: FailedRow[] } | undefined;
  return async (shard) => {
    const range = idRange(to.manifest, shard);
    const taken: LatentShard = { shard, rows: [], failed: [] };
    const { rowsPerShard } = from.manifest;
    for (let source = Math.floor(range.from / rowsPerShard); source * rowsPerShard < range.to; source++) {
      if (last?.shard !== source) {
        last = { shard: source, rows: await readShard(from, source), failed: await readFailures(from, source) };
      }
      const isIn = (id: number): boolean => id >= range.from && id < range.to;
      taken.rows.push(...last.rows.filter(({ index }) => isIn(index)));
      taken.failed.push(...last.failed.filter(({ id }) => isIn(id)));
    }
    return taken;
  };
}

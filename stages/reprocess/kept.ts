/** Rows of a store that another store, or the same shard made again, may take over as they are. */
import type { TripleManifest } from "../../schemas/manifest.ts";
import type { RowCondition } from "../simulate/row-conditions.ts";
import type { Kept } from "../simulate/simulate.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { idRange, readFailures, readShard, type Store } from "../../store/shards/store.ts";

/** All rows and failures of a shard. Throws a Failure when it is damaged. */
export async function keptOf(store: Store<TripleManifest>, shard: number): Promise<Kept> {
  const rows = await readShard(store, shard); // checks the file
  const failed = await readFailures(store, shard);
  return { rows: new Map(rows.map((row) => [row.id, row])), failed: new Map(failed.map((failure) => [failure.id, failure])) };
}

/**
 * What a new store may take over from an old one, shard by shard of the new: the rows that `fits` (by id), that are
 * there, and whose condition is the same; and those that it `expects` to come out again. Holds one shard of the old store, the
 * last it read.
 */
export function keeper(options: {
  from: Store<TripleManifest>;
  to: Store<TripleManifest>;
  /** Shards of the old store that are there. */
  present: Set<number>;
  fits: (id: number) => boolean;
  /** Whether a row's latent must come out again as it is. */
  expects: (id: number) => boolean;
  /** Whether failures are taken over: not where conditions changed, which failed rows do not tell. */
  keepFailures: boolean;
}): (shard: number, conditions: RowCondition[]) => Promise<Kept> {
  const { from, to, present, fits, expects, keepFailures } = options;
  let last: { shard: number; kept: Kept } | undefined;
  return async (shard, conditions) => {
    const expected = new Map<number, TripleRow>();
    const kept: Kept = { rows: new Map(), failed: new Map(), expected };
    const range = idRange(to.manifest, shard);
    for (let id = range.from; id < Math.min(range.to, from.manifest.entries); id++) {
      const source = Math.floor(id / from.manifest.rowsPerShard);
      if (!present.has(source) || !(fits(id) || expects(id))) continue;
      if (last?.shard !== source) last = { shard: source, kept: await keptOf(from, source) };
      const row = last.kept.rows.get(id);
      const failure = last.kept.failed.get(id);
      const isSame = row && sameCondition(row, conditions[id - range.from] as RowCondition);
      if (isSame) (fits(id) ? kept.rows : expected).set(id, row);
      if (failure && keepFailures && fits(id)) kept.failed.set(id, failure);
    }
    return kept;
  };
}

function sameCondition(a: RowCondition, b: RowCondition): boolean {
  return (a.label ?? -1) === (b.label ?? -1) && (a.caption ?? null) === (b.caption ?? null);
}

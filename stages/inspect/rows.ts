/** Rows of a store to look at: all in order, one by its id, or those that a condition selects. */
import { badUsage, Failure } from "../../schemas/failure.ts";
import { filesAt } from "../../store/places/files.ts";
import { hasShard } from "../../store/records/present.ts";
import type { LatentRow, TokenRow, TripleRow } from "../../store/format/columns.ts";
import { readScalars } from "../../store/shards/read.ts";
import { idRange, presentShards, readHead, readRows, readShard, shardPath, type Store } from "../../store/shards/store.ts";
import type { Condition, Scalars } from "./where.ts";

export type StoreRow = LatentRow | TripleRow | TokenRow;

/** The id of a row: a triple's, or the index of an image in its listing. */
export function idOf(row: StoreRow): number {
  return "name" in row ? row.index : row.id;
}

/** The class name or caption of a row; empty for neither. */
export function captionOf({ label, caption }: Pick<StoreRow, "label" | "caption">, classes: readonly string[]): string {
  return caption ?? (typeof label === "number" && label >= 0 ? (classes[label] ?? `class ${label}`) : "");
}

/** All rows that are there in the order of their ids, one shard in memory. Throws a Failure on a damaged shard. */
export async function* rowsInOrder(store: Store, signal: AbortSignal): AsyncGenerator<StoreRow> {
  for (const shard of await presentShards(store)) {
    signal.throwIfAborted();
    yield* await readShard(store, shard);
  }
}

/**
 * The row of an id, checked, and where it stands: `position` counts the rows of its shard. Throws a Failure when there
 * is none, with the reason where it was rejected.
 */
export async function rowOfId(store: Store, id: number): Promise<{ row: StoreRow; shard: number; position: number }> {
  const { folder, manifest } = store;
  const refuse = (reason: string) => new Failure(`Cannot show row ${id} of ${folder}: ${reason}.`);
  if (!Number.isSafeInteger(id) || id < 0 || id >= manifest.entries) {
    throw badUsage(`Cannot show row ${id} of ${folder}: its rows have the ids 0 to ${manifest.entries - 1}.`);
  }
  const shard = Math.floor(id / manifest.rowsPerShard);
  const path = shardPath(store, shard);
  if ((await filesAt(path).size(path)) === undefined) {
    const isRemoved = await hasShard(store, shard);
    throw refuse(
      isRemoved
        ? `its shard ${shard} was removed once all had read it`
        : `its shard ${shard} is not made yet. Repeat the command that made the store`,
    );
  }
  const { failed: failures } = await readHead(store, shard);
  const failure = failures.find((row) => row.id === id);
  if (failure) throw refuse(`it was rejected${failure.name ? ` (${failure.name})` : ""}: ${failure.reason}`);
  const position = id - idRange(manifest, shard).from - failures.filter((row) => row.id < id).length;
  const [row] = await readRows(store, { shard, from: position, to: position + 1 });
  if (!row || idOf(row) !== id) throw refuse(`shard ${shard} does not hold it where its list of failures says`);
  return { row, shard, position };
}

export interface Selected {
  row: StoreRow;
  shard: number;
  position: number; // among the rows of its shard
}

/**
 * The rows that a condition selects, in order, `offset` passed over and at most `limit` given, of all shards but
 * those in `except`. Reads the tensors of the selected rows alone; without a condition whole shards are passed over unread.
 */
export async function* selectRows(
  store: Store,
  options: { where?: Condition; offset?: number; limit?: number; except?: ReadonlySet<number>; signal: AbortSignal },
): AsyncGenerator<Selected> {
  const { where, offset = 0, limit = Infinity, except, signal } = options;
  let matches = 0; // so far, those passed over too
  for (const shard of await presentShards(store)) {
    if (matches >= offset + limit) return;
    if (except?.has(shard)) continue;
    signal.throwIfAborted();
    const known = store.journal.entries.get(shard)?.at(-1)?.rows ?? Infinity;
    if (!where && matches + known <= offset) {
      matches += known;
      continue;
    }
    const positions: number[] = [];
    for (const [position, scalars] of (await scalarsOf(store, shard)).entries()) {
      if (matches >= offset + limit) break;
      if ((!where || where(scalars) === true) && matches++ >= offset) positions.push(position);
    }
    for (const { from, to } of runsOf(positions)) {
      const rows = await readRows(store, { shard, from, to });
      for (const [i, row] of rows.entries()) yield { row, shard, position: from + i };
    }
  }
}

/** Everything of a shard's rows but their tensors, with the shard's number and the class by name. */
async function scalarsOf(store: Store, shard: number): Promise<Scalars[]> {
  const { classes } = store.manifest;
  const rows = await readScalars(store, shard);
  return rows.map((row) => ({ ...row, id: row.id ?? row.index, shard, class: classes[row.label as number] ?? null }) as Scalars);
}

/** Ascending positions as stretches without gaps, each of at most 64: what is read at once stays small. */
function runsOf(positions: readonly number[]): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (const position of positions) {
    const last = runs.at(-1);
    if (last?.to === position && position - last.from < 64) last.to++;
    else runs.push({ from: position, to: position + 1 });
  }
  return runs;
}

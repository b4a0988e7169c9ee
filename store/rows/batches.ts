import type { Manifest } from "../../schemas/manifest.ts";
import { Failure } from "../../schemas/failure.ts";
import { checkBooks } from "../shards/books.ts";
import { stateColumns } from "../format/columns.ts";
import { waitForShard } from "./follow.ts";
import { type Block, blocksOf, type OrderSettings, rowOrder } from "./order.ts";
import { readShard, type RowOf, type Store } from "../shards/store.ts";

export interface BatchOptions extends OrderSettings {
  /** First step wanted: a run resumes here with what it would have seen. */
  fromStep?: number;
  /** Step to end before; endless by default. */
  toStep?: number;
  /** Keep the states of a store with a trajectory in the rows; they take memory as the latents do, each. */
  states?: boolean;
  signal?: AbortSignal;
  /** Called when training must wait for a shard that is not made yet. */
  onWait?: (shard: number) => void;
  /** Called before a block is read, with the shard below which all of it lies. */
  onAsk?: ((below: number) => Promise<void>) | undefined;
}

/** A block in memory: its rows in training order. */
interface Loaded<R> {
  block: Block;
  at: (position: number) => R;
  shards: Map<number, R[]>;
}

/**
 * Batches of rows in training order, waiting for shards that are not there yet. Holds at most two windows of shards:
 * the current block's and the next one's, read ahead. Throws a Failure on a damaged shard before a row of it is given,
 * and on damage to any other file of the store before the first row.
 *
 * @example
 * import { rowBatches } from "./batches.ts";
 * const order = { seed: 1, batch: 4, window: 2, firstShards: Infinity, stepsPerShard: 1 };
 * for await (const { step, rows } of rowBatches(latents, { ...order, fromStep: 5, toStep: 6 })) {
 *   assert.deepEqual([step, rows.length], [5, 4]);
 * }
 */
export async function* rowBatches<M extends Manifest>(
  store: Store<M>,
  options: BatchOptions,
): AsyncGenerator<{ step: number; rows: RowOf<M>[] }> {
  const { batch, seed, fromStep = 0, toStep = Infinity } = options;
  const blockAt = blocksOf({ ...options, shards: store.shards, rowsPerShard: store.manifest.rowsPerShard });
  const stop = new AbortController(); // ends the reading ahead when the consumer leaves
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;

  const load = async (position: number, before?: Loaded<RowOf<M>>): Promise<Loaded<RowOf<M>>> => {
    const block = blockAt(position);
    const shards = new Map<number, RowOf<M>[]>();
    await options.onAsk?.(Math.max(...block.shards) + 1);
    for (const shard of block.shards) {
      signal.throwIfAborted();
      shards.set(shard, before?.shards.get(shard) ?? (await readWhenThere(store, shard, { ...options, signal })));
    }
    const rows = [...shards.values()].flat();
    if (rows.length === 0) {
      throw new Failure(
        `Cannot train on ${store.folder}: every row of shard${block.shards.length > 1 ? "s" : ""} ${block.shards.join(", ")} failed. ` +
          "See its quarantine, or raise train.firstShards.",
      );
    }
    const order = rowOrder(seed, block, rows.length);
    return { block, at: (position) => rows[order[position - block.start]!] as RowOf<M>, shards };
  };
  const loadAfter = (current: Loaded<RowOf<M>>) => {
    const position = current.block.start + current.block.length;
    if (position >= toStep * batch) return undefined;
    const next = load(position, current);
    next.catch(() => {}); // reported when it is awaited
    return next;
  };

  try {
    if (fromStep >= toStep) return;
    await checkBooks(store);
    let current = await load(fromStep * batch);
    let next = loadAfter(current);
    for (let step = fromStep; step < toStep; step++) {
      const rows: RowOf<M>[] = [];
      for (let position = step * batch; rows.length < batch; position++) {
        if (position >= current.block.start + current.block.length) {
          current = (await next)!;
          next = loadAfter(current);
        }
        rows.push(current.at(position));
      }
      signal.throwIfAborted();
      yield { step, rows };
    }
  } finally {
    stop.abort();
  }
}

async function readWhenThere<M extends Manifest>(
  store: Store<M>,
  shard: number,
  { signal, onWait, states }: BatchOptions & { signal: AbortSignal },
): Promise<RowOf<M>[]> {
  await waitForShard(store, shard, { signal, onWait });
  const rows = await readShard(store, shard);
  const unread = new Set<string>(states ? [] : stateColumns(store.manifest));
  if (unread.size === 0) return rows;
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !unread.has(name))) as RowOf<M>);
}

/**
 * The order of training: which row stands at each position of an endless sequence, as a pure function of the settings.
 * Whether the shards are there yet plays no part, so a run that overlaps with simulation sees what a later one sees.
 *
 * Positions fall into blocks; a block shuffles the rows of a window of shards. While the store may still be growing,
 * a block draws its window from the first V shards, V = firstShards + floor(step / stepsPerShard) at its first step.
 * Once V covers the store, blocks run through seeded permutations of all shards, epoch by epoch. With `once` the windows are taken one
 * after the other instead, and the sequence ends with the store: what was read is never drawn again.
 */
import { permutation } from "../../schemas/numbers/philox.ts";

export interface OrderSettings {
  seed: number | bigint;
  batch: number;
  /** Shards shuffled together. */
  window: number;
  /** Shards that must exist before step 0; Infinity for a finished store. */
  firstShards: number;
  /** Every so many steps one further shard may be drawn from. */
  stepsPerShard: number;
  /** Draws from each shard once, in its turn: blocks are windows one after the other; `firstShards` and `stepsPerShard` do not count. */
  once?: boolean | undefined;
}

export interface Block {
  index: number;
  /** First position of the block. */
  start: number;
  /** Positions in the block: the rows its shards would have if none had failed. */
  length: number;
  shards: number[];
}

/**
 * How the training order cuts a store of `shards` shards into blocks; answers the block that holds a position.
 *
 * @example
 * import { blocksOf } from "./order.ts";
 * const order = { seed: 1, batch: 4, window: 2, firstShards: Infinity, stepsPerShard: 1 };
 * const blockAt = blocksOf({ ...order, shards: 6, rowsPerShard: 8 });
 * assert.deepEqual([blockAt(0).start, blockAt(15).start, blockAt(16).start], [0, 0, 16]);
 * assert.equal(blockAt(0).shards.length, 2);
 */
export function blocksOf(settings: OrderSettings & { shards: number; rowsPerShard: number }): (position: number) => Block {
  const { seed, batch, shards, rowsPerShard } = settings;
  const window = Math.max(1, Math.min(settings.window, shards));
  const visibleAt = (position: number) =>
    Math.max(1, Math.min(shards, settings.firstShards + Math.floor(Math.floor(position / batch) / settings.stepsPerShard)));

  const growing: { start: number; visible: number }[] = []; // blocks before the store is complete, as far as asked for
  let end = 0; // of the last of them
  let kept: { epoch: number; order: Uint32Array } | undefined; // of all shards, drawn once an epoch and not once a block
  const orderOf = (epoch: number): Uint32Array => {
    if (kept?.epoch !== epoch) kept = { epoch, order: permutation({ seed, stream: `epoch ${epoch}`, length: shards }) };
    return kept.order;
  };

  const next = (position: number): Block => {
    const index = Math.floor(position / (window * rowsPerShard));
    const first = index * window;
    if (first >= shards) throw new RangeError(`Cannot draw position ${position} of a store that is read once: it has ${shards} shards`);
    const drawn = Array.from({ length: Math.min(window, shards - first) }, (_, i) => first + i);
    return { index, start: first * rowsPerShard, length: drawn.length * rowsPerShard, shards: drawn };
  };

  return (position) => {
    if (settings.once) return next(position);
    while (end <= position && visibleAt(end) < shards) {
      const visible = visibleAt(end);
      growing.push({ start: end, visible });
      end += Math.min(window, visible) * rowsPerShard;
    }
    if (position < end) {
      const index = growing.findLastIndex(({ start }) => start <= position);
      const { start, visible } = growing[index]!;
      const drawn = permutation({ seed, stream: `window ${index}`, length: visible }).subarray(0, window);
      return { index, start, length: drawn.length * rowsPerShard, shards: [...drawn] };
    }
    const epochLength = shards * rowsPerShard;
    const epoch = Math.floor((position - end) / epochLength);
    const epochStart = end + epoch * epochLength;
    const nth = Math.floor((position - epochStart) / (window * rowsPerShard));
    const drawn = orderOf(epoch).subarray(nth * window, (nth + 1) * window);
    return {
      index: growing.length + epoch * Math.ceil(shards / window) + nth,
      start: epochStart + nth * window * rowsPerShard,
      length: drawn.length * rowsPerShard,
      shards: [...drawn],
    };
  };
}

/**
 * The shard below which training from a position on draws nothing, whatever becomes of it: 0 unless every shard is drawn from once.
 *
 * @example
 * import { leastAfter } from "./order.ts";
 * const order = { seed: 1, batch: 4, window: 2, firstShards: 1, stepsPerShard: 1, shards: 6, rowsPerShard: 8 };
 * assert.deepEqual([leastAfter({ ...order, once: true }, 16), leastAfter(order, 16)], [2, 0]);
 */
export function leastAfter(settings: OrderSettings & { shards: number; rowsPerShard: number }, position: number): number {
  const { once, shards, rowsPerShard } = settings;
  if (!once) return 0;
  return position >= shards * rowsPerShard ? shards : blocksOf(settings)(position).shards[0]!;
}

/**
 * The order of a block: for each of its positions the number of a row, counted through its shards, [block.length]. With
 * `rows` equal to the length every row comes once; where rows failed, a further permutation fills up the block.
 *
 * @example
 * import { rowOrder } from "./order.ts";
 * const block = { index: 0, start: 0, length: 4, shards: [2] };
 * assert.deepEqual(rowOrder(1, block, 4).sort(), Uint32Array.of(0, 1, 2, 3));
 */
export function rowOrder(seed: number | bigint, block: Block, rows: number): Uint32Array {
  const order = new Uint32Array(block.length);
  for (let filled = 0, pass = 0; filled < block.length; filled += rows, pass++) {
    const drawn = permutation({ seed, stream: `rows ${block.index} ${pass}`, length: rows });
    order.set(drawn.subarray(0, block.length - filled), filled);
  }
  return order;
}

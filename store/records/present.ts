/** Which shards are there and which are not: told from the files, so that work and memory follow these and not what a store plans. */
import { filesAt } from "../places/files.ts";
import { extensionOf, extensions } from "../format/formats.ts";
import { removedPath, shardDigits, shardPath, type Store } from "./layout.ts";
import { within } from "../places/place.ts";

/** Shards from (inclusive) to (exclusive). */
export interface Stretch {
  from: number;
  to: number;
}

/**
 * The number of a shard by the name of its file, which ends so; undefined for any other name.
 *
 * @example
 * import { shardOf } from "./present.ts";
 * assert.deepEqual([shardOf("000042.parquet"), shardOf("1000000.arrow"), shardOf("42.parquet")], [42, 1_000_000, undefined]);
 */
export function shardOf(name: string, endings: readonly string[] = extensions): number | undefined {
  const [, digits = "", ending = ""] = /^(\d{6,15})\.([a-z]+)$/.exec(name) ?? [];
  return endings.includes(ending) && shardDigits(Number(digits)) === digits ? Number(digits) : undefined;
}

/**
 * Whether a folder has a file of this shard, in whatever format.
 *
 * @example
 * import { hasFileOf } from "./present.ts";
 * assert.deepEqual([await hasFileOf(latents.folder, 6), await hasFileOf(latents.folder, 7)], [true, false]);
 */
export async function hasFileOf(folder: string, shard: number): Promise<boolean> {
  const paths = extensions.map((extension) => within(folder, "shards", `${shardDigits(shard)}.${extension}`));
  return (await Promise.all(paths.map((path) => filesAt(path).size(path)))).some((size) => size !== undefined);
}

/**
 * Whether a shard was made: it has a file, or had one and was removed once all had read it.
 *
 * @example
 * import { hasShard } from "./present.ts";
 * assert.equal(await hasShard(latents, 6), true);
 */
export async function hasShard(store: Store, shard: number): Promise<boolean> {
  for (const path of [shardPath(store, shard), removedPath(store, shard)]) {
    if ((await filesAt(path).size(path)) !== undefined) return true;
  }
  return false;
}

/**
 * The shards that were removed once all had read them, ascending.
 *
 * @example
 * import { removedShards } from "./present.ts";
 * assert.deepEqual(await removedShards(latents), []);
 */
export async function removedShards(store: Store): Promise<number[]> {
  return shardsIn(store, "removed", ["json"]);
}

/** The shards that were made, those that were removed since among them, ascending. */
export async function madeShards(store: Store): Promise<number[]> {
  const present = await presentShards(store); // first: what is removed meanwhile is found in the other list
  const removed = await removedShards(store);
  return union(present, removed);
}

/**
 * The numbers of a list that are not in another.
 *
 * @example
 * import { without } from "./present.ts";
 * assert.deepEqual(without([1, 2, 3], [2]), [1, 3]);
 */
export function without(first: readonly number[], second: readonly number[]): number[] {
  if (first.length === 0) return [];
  const others = new Set(second);
  return first.filter((number) => !others.has(number));
}

/**
 * The numbers that are in one of two lists or in both, ascending as these are.
 *
 * @example
 * import { union } from "./present.ts";
 * assert.deepEqual(union([1, 4], [2, 4]), [1, 2, 4]);
 */
export function union(first: number[], second: number[]): number[] {
  return second.length === 0 ? first : [...new Set([...first, ...second])].sort((a, b) => a - b);
}

/**
 * The shards that have a file, ascending.
 *
 * @example
 * import { presentShards } from "onestep/store";
 * assert.deepEqual(await presentShards(latents), [0, 1, 2, 3, 4, 5, 6]);
 */
export async function presentShards(store: Store): Promise<number[]> {
  return shardsIn(store, "shards", [extensionOf(store.manifest)]);
}

/** The store's shards of which a folder has a file with such an ending, ascending; none of the names is held. */
async function shardsIn({ folder, shards }: Store, name: string, endings: readonly string[]): Promise<number[]> {
  const found: number[] = [];
  for await (const each of filesAt(folder).list(within(folder, name))) {
    const shard = shardOf(each, endings);
    if (shard !== undefined && shard < shards) found.push(shard);
  }
  return found.sort((a, b) => a - b);
}

/**
 * The stretches between shards that are there, ascending, and after the last of them.
 *
 * @example
 * import { gapsIn } from "./present.ts";
 * assert.deepEqual(gapsIn([0, 4, 5], 9), [{ from: 1, to: 4 }, { from: 6, to: 9 }]);
 */
export function gapsIn(present: readonly number[], shards: number): Stretch[] {
  const gaps: Stretch[] = [];
  let from = 0;
  for (const shard of present) {
    if (shard > from) gaps.push({ from, to: shard });
    from = shard + 1;
  }
  if (from < shards) gaps.push({ from, to: shards });
  return gaps;
}

/**
 * Neighbouring shards of an ascending list as stretches.
 *
 * @example
 * import { stretchesOf } from "./present.ts";
 * assert.deepEqual(stretchesOf([0, 4, 5]), [{ from: 0, to: 1 }, { from: 4, to: 6 }]);
 */
export function stretchesOf(shards: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const shard of shards) {
    const last = stretches.at(-1);
    if (last?.to === shard) last.to++;
    else stretches.push({ from: shard, to: shard + 1 });
  }
  return stretches;
}

/**
 * The shards that were not made yet, ascending: for a command that makes them. Others ask for the gaps.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { missingShards } from "onestep/store";
 * import { shardPath } from "../shards/store.ts";
 * await rm(shardPath(latents, 3));
 * assert.deepEqual(await missingShards(latents), [3]);
 */
export async function missingShards(store: Store): Promise<number[]> {
  const missing: number[] = [];
  for (const { from, to } of gapsIn(await madeShards(store), store.shards)) {
    for (let shard = from; shard < to; shard++) missing.push(shard);
  }
  return missing;
}

/**
 * How many shards were not made yet, and the first of them.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { countMissing } from "./present.ts";
 * import { shardPath } from "../shards/store.ts";
 * await rm(shardPath(latents, 3));
 * assert.deepEqual(await countMissing(latents), { missing: 1, first: 3 });
 */
export async function countMissing(store: Store): Promise<{ missing: number; first?: number }> {
  const gaps = gapsIn(await madeShards(store), store.shards);
  return { missing: gaps.reduce((sum, { from, to }) => sum + to - from, 0), first: gaps[0]?.from };
}

/** The work of a task among others that make the same store: its own part, then whatever is missing. No task claims anything. */
import { permutation } from "../../schemas/numbers/philox.ts";
import { inOrder } from "../places/in-order.ts";
import { rowsOf, type Store } from "../records/layout.ts";
import { hasShard, missingShards } from "../records/present.ts";

/** Names that an object store lists in one answer, and the single looks that take as long, made at once. */
const PAGE = 1000;
const LOOKS_PER_PAGE = 32;

/**
 * Of the shards that `isMine` names, those without a file, ascending. They are looked for one by one where that takes less than listing
 * the store: of a store of a million shards a task of many asks for its own alone.
 */
export async function missingOwn(store: Store, isMine: (shard: number) => boolean, signal?: AbortSignal): Promise<number[]> {
  const own = sharesOf(store, isMine);
  if (own.length > (store.shards / PAGE) * LOOKS_PER_PAGE) return (await missingShards(store)).filter(isMine);
  const missing: number[] = [];
  let place = 0;
  for await (const isThere of inOrder(own.length, (n) => hasShard(store, own[n] as number), signal)) {
    if (!isThere) missing.push(own[place] as number);
    place++;
  }
  return missing;
}

/**
 * The missing shards of a task's `own` part, then, once these are begun, all that are missing of others, in a random order that is a
 * function of `part` alone, so that two tasks seldom meet. Each is looked for before it is given, and passed over where it has
 * come meanwhile. `onThere` is told how many rows of other parts the store has when these are looked at, and of each that has come.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { ownThenOthers } from "./others.ts";
 * import { shardPath } from "../shards/store.ts";
 * for (const shard of [1, 4]) await rm(shardPath(latents, shard));
 * const given: number[] = [];
 * const isMine = (shard: number) => shard % 2 === 0;
 * for await (const shard of ownThenOthers(latents, { own: [4], part: "1/2", isMine, onThere: () => {} })) given.push(shard);
 * assert.deepEqual(given, [4, 1]);
 */
export async function* ownThenOthers(
  store: Store,
  {
    own,
    part,
    isMine,
    onThere,
  }: { own: readonly number[]; part: string; isMine: (shard: number) => boolean; onThere: (rows: number) => void },
): AsyncGenerator<number> {
  for (const shard of own) {
    if (await hasShard(store, shard)) onThere(rowsOf(store, [shard]));
    else yield shard;
  }
  const missing = (await missingShards(store)).filter((shard) => !isMine(shard));
  const others = store.manifest.entries - rowsOf(store, sharesOf(store, isMine));
  onThere(others - rowsOf(store, missing));
  for (const place of permutation({ seed: 0, stream: `others of ${part}`, length: missing.length })) {
    const shard = missing[place] as number;
    if (await hasShard(store, shard)) onThere(rowsOf(store, [shard]));
    else yield shard;
  }
}

/** The shards that `isMine` names, ascending. */
function sharesOf({ shards }: Store, isMine: (shard: number) => boolean): number[] {
  const own: number[] = [];
  for (let shard = 0; shard < shards; shard++) if (isMine(shard)) own.push(shard);
  return own;
}

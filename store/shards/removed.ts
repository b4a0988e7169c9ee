/**
 * Shards that were removed once every training had read them: of each STORE/removed/000042.json keeps what it said of itself and its
 * hash, so that the store is sealed and verified as if it were there.
 */
import { Failure } from "../../schemas/failure.ts";
import { checkedLine, checkedText } from "../records/checked-line.ts";
import { readEntriesOf } from "../records/entries.ts";
import { filesAt } from "../places/files.ts";
import { isCount, parseFailures } from "../records/failures.ts";
import { removedPath, shardPath, type Store } from "../records/layout.ts";
import { presentShards } from "../records/present.ts";
import { readHead, readWhole } from "./read.ts";
import { keptFor } from "./readers.ts";
import type { ShardMetadata } from "./shard-metadata.ts";

/** What the end of a shard says, how large its file is or was, and of a removed one its hash. */
export interface ShardEnd extends ShardMetadata {
  bytes: number;
  sha256?: string;
}

/** What a shard says of itself, from its end; of a removed one from what was kept of it. Throws a Failure like `readHead`. */
export async function readEnd(store: Store, shard: number): Promise<ShardEnd> {
  try {
    return await readHead(store, shard);
  } catch (error) {
    const removed = await readRemoved(store, shard);
    if (removed) return removed;
    throw error;
  }
}

/** What was kept of a removed shard; undefined of one that was not removed. Throws a Failure where it is damaged. */
export async function readRemoved(store: Store, shard: number): Promise<(ShardEnd & { sha256: string }) | undefined> {
  const path = removedPath(store, shard);
  const bytes = await filesAt(path).read(path);
  if (!bytes) return undefined;
  const text = checkedText(Buffer.from(bytes).subarray(0, -1));
  const found = text === undefined ? undefined : (JSON.parse(text) as ShardEnd & { shard: number; sha256: string });
  if (found?.shard === shard && isCount(found.rows)) return { ...found, failed: parseFailures(found.failed) };
  throw new Failure(`Cannot use ${path}: it is damaged. Repeat the command that made the store with --repair: it makes the shard again.`);
}

/**
 * Removes the shards that the checkpoints of all registered readers have passed, where the store is to keep only what is unread. What is
 * kept of a shard is durable before the shard goes. Answers how many went.
 *
 * @example
 * import { missingShards, presentShards } from "onestep/store";
 * import { askToRegister, openReader } from "./readers.ts";
 * import { removeRead } from "./removed.ts";
 * await askToRegister(latents, "unread");
 * await openReader(latents, { name: "a1", pinned: 1, from: 3 }).passed(3);
 * assert.equal(await removeRead(latents), 2);
 * assert.deepEqual([await presentShards(latents), await missingShards(latents)], [[0, 3, 4, 5, 6], []]);
 */
export async function removeRead(store: Store): Promise<number> {
  const { from, to } = await keptFor(store);
  const going = to <= from ? [] : (await presentShards(store)).filter((shard) => shard >= from && shard < to);
  for (const shard of going) await remove(store, shard);
  return going.length;
}

async function remove(store: Store, shard: number): Promise<void> {
  const { rows, bytes, failed, sums, sha256: isGone } = await readEnd(store, shard);
  if (isGone !== undefined) return; // another reader was faster
  if (!store.journal.entries.has(shard)) await readEntriesOf(store, shard, { all: true });
  const [recorded, other] = store.journal.entries.get(shard) ?? [];
  const sha256 = recorded && !other && recorded.bytes === bytes ? recorded.sha256 : (await readWhole(store, shard)).sha256;
  const path = removedPath(store, shard);
  await filesAt(path).replace(path, `${checkedLine({ shard, rows, bytes, sha256, failed, sums })}\n`);
  await filesAt(path).remove(shardPath(store, shard));
}

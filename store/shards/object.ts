/** The shard of a bucket, read whole: from the cache where it is kept, else with one request, and then kept. */
import { memoryBuffer } from "../places/buffers.ts";
import { forgetShard, keepShard, keptShard } from "../places/kept-shards.ts";
import { examineFile, type Sound } from "./examine.ts";
import { filesAt } from "../places/files.ts";
import { readEntriesOf } from "../records/entries.ts";
import { shardPath, type Store } from "../records/layout.ts";
import { missingShard } from "./shard-file.ts";
import { mostShardBytes } from "../format/shard-format.ts";

/** Reads and checks a shard as `examineShard` does. One that the cache has damaged is read anew. */
export async function examineObject(store: Store, shard: number): Promise<Sound | { problem: string }> {
  if (!store.journal.entries.has(shard)) await readEntriesOf(store, shard, { all: false });
  const [recorded, other] = store.journal.entries.get(shard) ?? [];
  const kept = recorded && !other ? await keptShard(recorded) : undefined;
  if (kept) {
    const examined = await examineFile(store, shard, memoryBuffer(kept));
    if (examined.problem === undefined) return examined;
    await forgetShard(recorded!.sha256);
  }
  const path = shardPath(store, shard);
  const size = await filesAt(path).size(path);
  if (size === undefined) throw await missingShard(store, shard);
  if (size > mostShardBytes) return { problem: `it has ${size} bytes, expected at most ${mostShardBytes}` };
  const bytes = await filesAt(path).read(path, { from: 0, to: size });
  if (!bytes) throw await missingShard(store, shard);
  const examined = await examineFile(store, shard, memoryBuffer(bytes));
  const hash = examined.problem === undefined ? examined.sha256 || (other ? "" : recorded?.sha256) : undefined;
  if (hash) await keepShard(hash, bytes);
  return examined;
}

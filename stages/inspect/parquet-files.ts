/** The shards of a store as Parquet files, for who reads nothing else: its own, or copies that last as long as the work. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { writeError } from "../../schemas/system-error.ts";
import { shardDigits } from "../../store/records/layout.ts";
import { encodeShard } from "../../store/format/shard.ts";
import { presentShards, readShard, shardPath, type Store } from "../../store/shards/store.ts";
import type { Row } from "../../store/format/stored-rows.ts";

/** Does something with the paths of all shards that are there. Copies of Arrow shards take the disk that the store takes. */
export async function withParquetFiles<T>(store: Store, signal: AbortSignal, work: (paths: string[]) => Promise<T>): Promise<T> {
  const shards = await presentShards(store);
  if (store.manifest.shardFormat === undefined) return work(shards.map((shard) => resolve(shardPath(store, shard))));
  const folder = await mkdtemp(join(tmpdir(), "onestep-sql-"));
  try {
    const paths: string[] = [];
    for (const shard of shards) {
      signal.throwIfAborted();
      const path = join(folder, `${shardDigits(shard)}.parquet`);
      const rows = (await readShard(store, shard)) as Row[];
      await writeFile(path, await encodeShard({ columns: store.columns, rows, metadata: {} })).catch((error) => {
        throw writeError(path, error);
      });
      paths.push(path);
    }
    return await work(paths);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Shards of buckets that were read, by their sha256, in the cache's folder `shards`. Nothing that goes wrong with it is told: all it costs
 * is time.
 */
import { readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomic } from "./atomic.ts";
import { cacheFolder, cacheLimit } from "./cache.ts";
import { keepLimit } from "./cache-limit.ts";

const leastBetween = 2 ** 28; // bytes written between two looks at what all processes keep there

let written = leastBetween;

const folderOf = (): string | undefined => cacheFolder("shards");

/** The kept shard of a hash, if it has that many bytes: whether it has that hash too is for its reader to see. */
export async function keptShard({ sha256, bytes }: { sha256: string; bytes: number }): Promise<Uint8Array | undefined> {
  const folder = folderOf();
  if (folder === undefined) return undefined;
  const path = join(folder, `${sha256}.parquet`);
  try {
    if ((await stat(path)).size !== bytes) return undefined;
    const found = await readFile(path);
    const now = new Date();
    await utimes(path, now, now).catch(() => {});
    return found;
  } catch {
    return undefined;
  }
}

/** Keeps the bytes of a shard. */
export async function keepShard(sha256: string, bytes: Uint8Array): Promise<void> {
  const folder = folderOf();
  if (folder === undefined || bytes.length > cacheLimit()) return;
  try {
    await writeAtomic(join(folder, `${sha256}.parquet`), bytes);
    written += bytes.length;
    if (written < Math.min(leastBetween, cacheLimit() / 8)) return;
    written = 0;
    await keepLimit();
  } catch {}
}

/** Forgets a shard that is not what its name says. */
export async function forgetShard(sha256: string): Promise<void> {
  const folder = folderOf();
  if (folder !== undefined) await rm(join(folder, `${sha256}.parquet`), { force: true }).catch(() => {});
}

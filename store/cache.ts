/**
 * Shards of buckets that were read, by their sha256, on this machine's disk: in `shards` of the folder that ONESTEP_CACHE names,
 * or of `onestep` in the user's cache. What was read longest ago goes first. Nothing that goes wrong with it is told: all it
 * costs is time.
 */
import { readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { writeAtomic } from "./atomic.ts";

const leastBetween = 2 ** 28; // bytes written between two looks at what all processes keep there

let written = leastBetween;

/**
 * The cache's folder of this name; undefined where ONESTEP_CACHE is "off", or no user's folder is known.
 *
 * @example
 * import { cacheFolder } from "./cache.ts";
 * process.env.ONESTEP_CACHE = folder;
 * assert.equal(cacheFolder("shards"), `${folder}/shards`);
 */
export function cacheFolder(name: string): string | undefined {
  const { ONESTEP_CACHE, XDG_CACHE_HOME } = process.env;
  if (ONESTEP_CACHE) return ONESTEP_CACHE === "off" ? undefined : join(resolve(ONESTEP_CACHE), name);
  try {
    return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "onestep", name);
  } catch {
    return undefined;
  }
}

/** The folder of kept shards. */
const folderOf = (): string | undefined => cacheFolder("shards");

/** Bytes that the folder may hold: ONESTEP_CACHE_GB, of which 0 keeps none; 20 unless told. */
const limit = (): number => {
  const told = Number(process.env.ONESTEP_CACHE_GB || NaN);
  return 1e9 * (told >= 0 ? told : 20);
};

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
  if (folder === undefined || bytes.length > limit()) return;
  try {
    await writeAtomic(join(folder, `${sha256}.parquet`), bytes);
    written += bytes.length;
    if (written < Math.min(leastBetween, limit() / 8)) return;
    written = 0;
    await makeRoom(folder);
  } catch {}
}

/** Forgets a shard that is not what its name says. */
export async function forgetShard(sha256: string): Promise<void> {
  const folder = folderOf();
  if (folder !== undefined) await rm(join(folder, `${sha256}.parquet`), { force: true }).catch(() => {});
}

/** Removes what was read longest ago until the rest fits. */
async function makeRoom(folder: string): Promise<void> {
  const kept: { path: string; size: number; read: number }[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found) kept.push({ path, size: found.size, read: found.mtimeMs });
  }
  let total = kept.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of kept.sort((a, b) => a.read - b.read)) {
    if (total <= limit()) return;
    await rm(path, { force: true });
    total -= size;
  }
}

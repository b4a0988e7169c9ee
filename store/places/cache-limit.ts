/**
 * The cache's limit: shards that were read and copies of runs together take ONESTEP_CACHE_GB. What was used longest ago goes first, never
 * a copy that a living process works in or reads.
 */
import type { Dirent } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { absent } from "../../schemas/system-error.ts";
import { temporaryName } from "./atomic.ts";
import { cacheLimit, cachePlace } from "./cache.ts";
import { holdFolder, makersOf } from "./lock.ts";

/** What the locks of those that make room are for. */
const ROOM = "make room";

/** Something kept, and when it was used last. */
interface Kept {
  size: number;
  used: number;
  remove: () => Promise<boolean>;
}

/**
 * Takes the folder of a copy, as `holdFolder` does; it is made where it is not there, and nobody makes room with it from then on.
 *
 * @example
 * import { existsSync } from "node:fs";
 * import { writeFile } from "node:fs/promises";
 * import { keepLimit, useCopy } from "./cache-limit.ts";
 * process.env.ONESTEP_CACHE = folder;
 * process.env.ONESTEP_CACHE_GB = "0";
 * const copy = `${folder}/fetched/teacher`;
 * const release = await useCopy({ folder: copy, command: "sample", shared: true });
 * await writeFile(`${copy}/model.json`, "{}");
 * await keepLimit();
 * assert.ok(existsSync(`${copy}/model.json`));
 * await release();
 * await keepLimit();
 * assert.ok(!existsSync(copy));
 */
export async function useCopy(options: Parameters<typeof holdFolder>[0]): ReturnType<typeof holdFolder> {
  for (let attempt = 1; ; attempt++) {
    await mkdir(options.folder, { recursive: true });
    try {
      return await holdFolder(options);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isPassing = code === "ENOENT" || message.includes(`: ${ROOM} is at work`);
      if (!isPassing || attempt === 100) throw error;
      await setTimeout(20);
    }
  }
}

/**
 * Removes what was used longest ago until the rest fits. Nothing that goes wrong with it is told: all it costs is room.
 *
 * @example
 * import { existsSync } from "node:fs";
 * import { mkdir, writeFile } from "node:fs/promises";
 * import { keepLimit } from "./cache-limit.ts";
 * process.env.ONESTEP_CACHE = folder;
 * process.env.ONESTEP_CACHE_GB = "0";
 * await mkdir(`${folder}/shards`, { recursive: true });
 * await writeFile(`${folder}/shards/ab12.parquet`, "rows");
 * await keepLimit();
 * assert.ok(!existsSync(`${folder}/shards/ab12.parquet`));
 */
export async function keepLimit(): Promise<void> {
  try {
    const copies = [await copiesIn(cachePlace("runs")), await copiesIn(cachePlace("fetched"))];
    const kept = [...(await shardsOf(cachePlace("shards"))), ...copies.flat()];
    let total = kept.reduce((sum, { size }) => sum + size, 0);
    for (const { size, remove } of kept.sort((a, b) => a.used - b.used)) {
      if (total <= cacheLimit()) return;
      if (await remove()) total -= size;
    }
  } catch {}
}

async function shardsOf(folder: string): Promise<Kept[]> {
  const kept: Kept[] = [];
  for (const { name } of await entriesOf(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    const remove = async (): Promise<boolean> => rm(path, { force: true }).then(() => true);
    if (found?.isFile()) kept.push({ size: found.size, used: found.mtimeMs, remove });
  }
  return kept;
}

async function copiesIn(folder: string): Promise<Kept[]> {
  const kept: Kept[] = [];
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) kept.push({ ...(await extentOf(path)), remove: () => removeUnused(path) });
  }
  return kept;
}

/** The bytes below a folder, and when the last of them were written; of one that is removed meanwhile nothing. */
async function extentOf(folder: string): Promise<{ size: number; used: number }> {
  const extent = { size: 0, used: 0 };
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    const found = entry.isDirectory() ? await extentOf(path) : await stat(path).then(({ size, mtimeMs: used }) => ({ size, used }), absent);
    extent.size += found?.size ?? 0;
    extent.used = Math.max(extent.used, found?.used ?? 0);
  }
  return extent;
}

const entriesOf = async (folder: string): Promise<Dirent[]> => (await readdir(folder, { withFileTypes: true }).catch(absent)) ?? [];

/** Removes a copy, unless somebody may be using it. It goes aside first, so that whoever wants it next waits for a moment alone. */
async function removeUnused(folder: string): Promise<boolean> {
  if ((await makersOf(folder)).some(({ alive }) => alive !== false)) return false;
  const release = await holdFolder({ folder, command: ROOM }).catch(() => undefined);
  if (!release) return false;
  const aside = join(dirname(folder), temporaryName("room")); // one that is left is a copy too, which nobody uses
  try {
    await mkdir(aside);
    for (const { name } of await entriesOf(folder)) if (!name.startsWith(".onestep")) await rename(join(folder, name), join(aside, name));
  } finally {
    await release();
  }
  await rmdir(folder).catch(() => {}); // somebody may have come
  await rm(aside, { recursive: true, force: true });
  return true;
}

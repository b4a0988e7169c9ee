/**
 * Where this machine keeps what it has read of buckets, and how much of it: in folders of the one that ONESTEP_CACHE names, or of `onestep`
 * in the user's cache.
 */
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

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

/**
 * The cache's folder of this name, or where there is none one of the system's for what must lie on the disk while it is used.
 *
 * @example
 * import { cachePlace } from "./cache.ts";
 * process.env.ONESTEP_CACHE = "off";
 * assert.match(cachePlace("runs"), /onestep-runs$/);
 */
export const cachePlace = (name: string): string => cacheFolder(name) ?? join(tmpdir(), `onestep-${name}`);

/** Bytes that shards and copies may take: ONESTEP_CACHE_GB, of which 0 keeps none; 20 unless told. */
export const cacheLimit = (): number => {
  if (process.env.ONESTEP_CACHE === "off") return 0;
  const told = Number(process.env.ONESTEP_CACHE_GB || NaN);
  return 1e9 * (told >= 0 ? told : 20);
};

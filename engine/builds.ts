/** What `pipeline doctor` has built for a device lies in a folder of its own, in which built.json says which build was the last. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./cache.ts";

/** The file that says what was built. */
export const BUILT = "built.json";

/**
 * The folder that the builds for a device lie in: ONESTEP_CUDA or ONESTEP_TENSORFLOW, or one in the user's cache; undefined where
 * there is no cache.
 *
 * @example
 * import { buildsFolder } from "./builds.ts";
 * assert.equal(buildsFolder("cuda", { ONESTEP_CUDA: "/opt/cuda" }), "/opt/cuda");
 */
export function buildsFolder(device: "cuda" | "tensorflow", environment: NodeJS.ProcessEnv): string | undefined {
  const cache = cacheFolder(environment);
  return environment[`ONESTEP_${device.toUpperCase()}`] ?? (cache && join(cache, device));
}

/**
 * What built.json of a folder says; undefined where there is none, or one that broke off.
 *
 * @example
 * import { lastBuilt } from "./builds.ts";
 * assert.equal(lastBuilt("/nowhere"), undefined);
 */
export function lastBuilt<Built>(folder: string | undefined): Built | undefined {
  try {
    return folder === undefined ? undefined : (JSON.parse(readFileSync(join(folder, BUILT), "utf8")) as Built);
  } catch {
    return undefined;
  }
}

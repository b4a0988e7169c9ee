/** What killed processes left in a store of files that were not whole yet. An object store has none: an object appears whole. */
import { removeTemporaries } from "../places/atomic.ts";
import type { Store } from "./layout.ts";
import { isUrl, within } from "../places/place.ts";

/**
 * Removes what killed processes of this machine left half written in a store; with `all`, what is not this process's own work, too. It
 * goes over every name in the store, so a task of many leaves it to the one that seals.
 *
 * @example
 * import { namesIn, writeAtomic } from "../places/atomic.ts";
 * import { removeLeftovers } from "./leftovers.ts";
 * await writeAtomic(`${latents.folder}/shards/.000007.parquet.0-1-00000000.tmp`, "left by a killed process of another machine");
 * await removeLeftovers(latents, { all: true });
 * assert.equal((await namesIn(`${latents.folder}/shards`)).length, 7);
 */
export async function removeLeftovers({ folder }: Pick<Store, "folder">, options: { all?: boolean } = {}): Promise<void> {
  if (isUrl(folder)) return;
  for (const place of ["", "shards", "quarantine", "journal"]) await removeTemporaries(within(folder, place), options);
}

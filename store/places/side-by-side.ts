/** Requests to a bucket at a time: what hides the way there, and asks no service for too much. */
const most = 32;

/**
 * Does some work for each item as it comes, several at a time; the first failure ends it.
 *
 * @example
 * import { forEachOf } from "./side-by-side.ts";
 * import { filesAt } from "./files.ts";
 * const seen: string[] = [];
 * await forEachOf(filesAt(latents.folder).list(`${latents.folder}/shards`), async (name) => void seen.push(name));
 * assert.equal(seen.length, 7);
 */
export async function forEachOf<T>(items: AsyncIterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const source = items[Symbol.asyncIterator]();
  let failed = false;
  const worker = async (): Promise<void> => {
    try {
      for (let next = await source.next(); !next.done && !failed; next = await source.next()) await work(next.value);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
}

/**
 * Does some work for each item, several at a time; the first failure ends it. Answers the results in the order of the items.
 *
 * @example
 * import { sideBySide } from "./side-by-side.ts";
 * assert.deepEqual(await sideBySide([1, 2, 3], async (n) => n * n), [1, 4, 9]);
 */
export async function sideBySide<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        results[at] = await work(items[at] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  return results;
}

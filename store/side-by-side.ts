/** Requests to a bucket at a time: what hides the way there, and asks no service for too much. */
const most = 32;

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

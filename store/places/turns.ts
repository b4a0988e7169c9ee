import { setImmediate } from "node:timers/promises";

/** Bytes worked on at a stretch: a few milliseconds. */
const STRETCH = 2 ** 20;

/** Does `work` for every value in order, `bytes` each, and lets the control thread serve others now and then. */
export async function inTurns<T, R>(values: readonly T[], bytes: number, work: (value: T) => R): Promise<R[]> {
  const atOnce = Math.max(1, Math.floor(STRETCH / bytes));
  const results: R[] = [];
  for (const value of values) {
    results.push(work(value));
    if (results.length % atOnce === 0) await setImmediate();
  }
  return results;
}

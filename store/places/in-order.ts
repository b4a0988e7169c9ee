/** Requests under way at once unless told: an object store answers each after tens of milliseconds, and many at a time. */
const AT_ONCE = 32;

/**
 * The answers of `ask` for 0, 1, ... `count` - 1, in this order; up to `atOnce` (32) are asked for at once, and no more are held. An
 * error comes at its place, after those before it.
 *
 * @example
 * import { inOrder } from "./in-order.ts";
 * const squares: number[] = [];
 * for await (const square of inOrder(4, async (n) => n * n)) squares.push(square);
 * assert.deepEqual(squares, [0, 1, 4, 9]);
 */
export async function* inOrder<T>(
  count: number,
  ask: (n: number) => Promise<T>,
  signal?: AbortSignal,
  atOnce = AT_ONCE,
): AsyncGenerator<T> {
  const asked: Promise<T>[] = [];
  try {
    for (let next = 0, place = 0; place < count; place++) {
      for (; next < count && next - place < atOnce; next++) {
        const answer = ask(next);
        answer.catch(() => {}); // told when its turn comes
        asked.push(answer);
      }
      signal?.throwIfAborted();
      yield await (asked.shift() as Promise<T>);
    }
  } finally {
    await Promise.allSettled(asked);
  }
}

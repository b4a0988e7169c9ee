/** Which shards of a store one process makes, where several share the work: `--part 2/8` or `--shards 10-19`. */
import { badUsage } from "../../schemas/failure.ts";

export interface WorkShare {
  /** "i/n": every n-th shard from shard i - 1 on, so that the first shards come first whoever makes them. */
  part?: string;
  /** "a-b" or "a": shards a to b, both included, counted from 0. */
  shards?: string;
  /** Of a part: what is then missing of the other parts is made too. */
  others?: boolean;
}

/**
 * Tells whether a shard of a store of `total` shards is in the share; all are without one. Throws a usage failure.
 *
 * @example
 * import { shareOf } from "./share.ts";
 * assert.deepEqual([0, 1, 2, 3].map(shareOf({ part: "2/3" }, 4)), [false, true, false, false]);
 */
export function shareOf({ part, shards }: WorkShare, total: number): (shard: number) => boolean {
  if (part !== undefined && shards !== undefined) {
    throw badUsage("Cannot use --part and --shards at once: each says which shards to make");
  }
  if (part !== undefined) {
    const [i, n] = numbers(/^(\d+)\/(\d+)$/, part) ?? [];
    if (!i || !n || i > n) throw badUsage(`Cannot make part "${part}": expected --part i/n with i from 1 to n, as in 2/8`);
    return (shard) => shard % n === i - 1;
  }
  if (shards !== undefined) {
    const [from, to] = numbers(/^(\d+)-(\d+)$/, shards) ?? numbers(/^(\d+)$/, shards) ?? [];
    const last = to ?? from;
    if (from === undefined || last === undefined || last < from || last >= total) {
      throw badUsage(`Cannot make shards "${shards}": expected --shards a-b within 0-${total - 1}`);
    }
    return (shard) => shard >= from && shard <= last;
  }
  return () => true;
}

function numbers(pattern: RegExp, text: string): number[] | undefined {
  return pattern.exec(text)?.slice(1).map(Number);
}

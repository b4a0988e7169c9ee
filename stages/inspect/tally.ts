import { createHash } from "node:crypto";

/** Counts distinct and repeated contents. */
export interface Tally {
  /** Sees the content of one row. */
  add: (content: Uint8Array | string, id: number) => void;
  counts: () => {
    distinct: number;
    /** Rows whose content an earlier row had. */
    repeated: number;
    /** True: too many to keep, so the counts are scaled up from a share that their hashes chose. */
    estimated: boolean;
    /** The first pairs [earlier id, repeating id]. */
    examples: [number, number][];
  };
}

/**
 * A tally in bounded memory: exact up to `capacity` distinct contents; beyond, it keeps those whose hash ends in one
 * more zero bit each time it is full (distinct sampling, Gibbons 2001). Contents are told apart by 53 bits of sha256.
 */
export function createTally(capacity = 2 ** 19): Tally {
  const first = new Map<number, number>(); // hash: the first id that had it
  const repeats = new Map<number, number>(); // hash: how many later rows had it
  const examples: [number, number][] = [];
  let share = 1; // one in so many hashes is kept

  const thin = () => {
    share *= 2;
    for (const kept of [first, repeats]) for (const key of kept.keys()) if (key % share !== 0) kept.delete(key);
  };
  return {
    add: (content, id) => {
      const digest = createHash("sha256").update(content).digest();
      const key = digest.readUInt32BE(0) * 2 ** 21 + (digest.readUInt32BE(4) >>> 11);
      if (key % share !== 0) return;
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, id);
      else {
        repeats.set(key, (repeats.get(key) ?? 0) + 1);
        if (examples.length < 5) examples.push([earlier, id]);
      }
      while (first.size > capacity) thin();
    },
    counts: () => ({
      distinct: first.size * share,
      repeated: share * [...repeats.values()].reduce((sum, count) => sum + count, 0),
      estimated: share > 1,
      examples,
    }),
  };
}

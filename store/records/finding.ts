/** Something wrong in a store, in words. */
export interface Finding {
  file: string;
  /** Set when a shard must be made again: it, or the first of several in a row. */
  shard?: number;
  /** How many in a row, where there are more than one. */
  shards?: number;
  /** The ids of those shards: from (inclusive) to (exclusive). */
  ids?: { from: number; to: number };
  problem: string;
  /** What mends it. */
  remedy: string;
}

export const REMAKE = "repeat the command that made the store with --repair";
export const REWRITE = "run pipeline verify with --repair, which writes it anew from the shards";
export const REPEAT = "repeat the command that made the store, which writes it anew";
export const REMOVE = "remove it";

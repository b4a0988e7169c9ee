/**
 * What a format of shards does: the few functions in which Parquet and Arrow differ. All else of a store (sums, ids, hashes, order) is
 * the same for both and asks through these.
 */
import type { AsyncBuffer } from "hyparquet";
import type { Stretch } from "../places/buffers.ts";
import { type Column, type Stored, tensorBytes } from "./stored-rows.ts";

/** The longest description at a file's end that is written and read: 64 MiB, some 400,000 rows that failed. */
export const mostFooterBytes = 2 ** 26;

/** The largest file that is written and read: Node's and most systems' limit for one read. */
export const mostShardBytes = 2 ** 31 - 2;

/** Bytes of the first read of a file's end, which most descriptions fit into. */
export const fetchedBytes = 2 ** 14;

export interface ShardFormat {
  /**
   * The bytes of a shard, a pure function of what it holds, and how many of them describe it at the end. `room` lends memory for at
   * least so many bytes, in which anything may stand. Others have a turn on the thread after each group of rows.
   */
  encode: (shard: ShardContent, room: (bytes: number) => ArrayBuffer) => Promise<{ bytes: Uint8Array; description: number }>;
  /** Reads a file's end. Throws an Error in words, before anything of the size that it claims is made. */
  readEnd: (file: AsyncBuffer) => Promise<ShardEnd>;
}

export interface ShardContent {
  columns: readonly Column[];
  rows: readonly Stored[];
  /** Of each row. */
  checksums: readonly number[];
  metadata: Readonly<Record<string, string>>;
}

export interface ShardEnd {
  /** The key-value metadata as they stand there, unchecked. */
  pairs: Record<string, string>;
  /**
   * The groups of rows of the file, in order. Throws an Error in words where the file is not laid out as its format promises: these
   * columns, so many rows, every byte accounted for. After this no number that was read is larger than the file.
   */
  groups: (expected: { columns: readonly Column[]; rows: number }) => RowGroup[];
}

/** Rows that lie together in the file, so that one read has them. */
export interface RowGroup {
  /** The position of its first row in the shard, and how many it has. */
  start: number;
  rows: number;
  /** The bytes that hold it; read so that `aligned` is at a multiple of 8, its widest tensor can be viewed. */
  bytes: Stretch;
  /**
   * What these columns have in the rows `from` (inclusive) to `to` of the group; of tensors nothing but where in the file the values of
   * the group's first row begin, the others following. Throws an Error in words where the file is not what its end says.
   */
  read: (options: {
    file: AsyncBuffer;
    /** By name, the checksums' too. */
    columns: readonly string[];
    from: number;
    to: number;
  }) => Promise<{ rows: Stored[]; places: ReadonlyMap<string, number> }>;
}

const groupBytes = 4 * 2 ** 20;

/** About what a row takes in a file. */
export function rowBytesOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + (column.type === "tensor" ? tensorBytes(column) : 16), 16);
}

/** The rows of every group but the last, which has what is left: some 4 MB. */
export function rowsPerGroup(columns: readonly Column[]): number {
  return Math.max(1, Math.floor(groupBytes / rowBytesOf(columns)));
}

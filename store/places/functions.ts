/** The six things that a store asks of the place where it lies. */
import type { Content } from "./atomic.ts";

/** Bytes from (inclusive) to (exclusive). */
export interface Range {
  from: number;
  to: number;
}

/** What became of a creation: it was made, or the same bytes were there already, or others. */
export type Created = "created" | "same" | "other";

/** Whole files under paths of one kind. What is written appears whole or not at all. */
export interface Files {
  /**
   * Writes a file that must not be there: of several who do so at once, one does. Answers what stands there after. `hash` is the sha256 of
   * the bytes, for who knows it.
   */
  create: (path: string, bytes: Uint8Array, hash?: string) => Promise<Created>;
  /** Writes a file in the place of whatever is there. */
  replace: (path: string, content: Content) => Promise<void>;
  /** A file's bytes, or those of a range that lies within it; undefined where there is no file. */
  read: (path: string, range?: Range) => Promise<Uint8Array | undefined>;
  /** How many bytes a file has; undefined where there is none. */
  size: (path: string) => Promise<number | undefined>;
  /** The names in a folder that begin so, as they come: in no order, few in memory. None where there is no such folder. */
  list: (folder: string, prefix?: string) => AsyncIterable<string>;
  /** Removes a file, if it is there. */
  remove: (path: string) => Promise<void>;
}

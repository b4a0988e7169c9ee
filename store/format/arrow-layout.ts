/**
 * Where the values of a record batch lie in its body, in Arrow's own layout: of each column its nodes and buffers in order, every buffer
 * at a multiple of 64 bytes. https://arrow.apache.org/docs/format/Columnar.html
 */
import { CHECKSUM, type Column, tensorBytes } from "./stored-rows.ts";

export const ALIGNMENT = 64;
/** A length in bytes rounded up to {@link ALIGNMENT}. */
export const padded = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** The columns of a file: the store's, and the checksums. */
export type FileColumn = Column | { name: typeof CHECKSUM; type: "uint32" };
/** The columns of a store's file, the checksums last. */
export const fileColumns = (columns: readonly Column[]): FileColumn[] => [...columns, { name: CHECKSUM, type: "uint32" }];

/** How many values there are, and how many of them are null. */
export interface Node {
  length: number;
  nulls: number;
}

/** The nodes of a column of so many rows: a tensor has one for its rows and one for their elements. */
export function nodesOf(column: FileColumn, rows: number, nulls = 0): Node[] {
  const own = { length: rows, nulls };
  return column.type === "tensor" ? [own, { length: rows * column.length, nulls: 0 }] : [own];
}

/**
 * The lengths of a column's buffers: of what may be null the bits of those that are not, where any is null, then offsets and bytes of
 * texts, or the values. `text` is how many bytes all texts have.
 */
export function bufferLengths(column: FileColumn, rows: number, { nulls = 0, text = 0 } = {}): number[] {
  const validity = nulls > 0 ? Math.ceil(rows / 8) : 0;
  switch (column.type) {
    case "id":
    case "uint64":
      return [validity, 8 * rows];
    case "int32":
    case "uint32":
      return [validity, 4 * rows];
    case "text":
      return [validity, 4 * (rows + 1), text];
    case "tensor":
      return [validity, 0, rows * tensorBytes(column)];
  }
}

/** A bit a value, the lowest first: 1 where it is not null. */
export function validityOf(values: readonly unknown[]): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) if (value !== null) bits[i >> 3]! |= 1 << (i & 7);
  return bits;
}

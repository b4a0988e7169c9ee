/**
 * Rows as they are stored: tensors are raw little-endian blobs (FIXED_LEN_BYTE_ARRAY), since list columns are 25 to 100 times
 * slower here. No Parquet library notices a flipped bit in plain data, so every row carries the CRC-32 of its stored values.
 */
import type { SchemaElement } from "hyparquet";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";

export type Column =
  | { name: string; type: "id" } // non-negative safe integer, INT64
  | { name: string; type: "uint64" }
  | { name: string; type: "int32" | "text" } // may be null
  | { name: string; type: "tensor"; length: number; shape?: readonly number[]; dtype: "float32" | "float16" | "int16" };

export type TensorColumn = Column & { type: "tensor" };

/** A row as callers see it: tensors are float32 whether stored so or in halves, or whole numbers. */
export type Row = Record<string, number | bigint | string | Float32Array | Int16Array | null | undefined>;

/** A row as it is stored. */
export type Stored = Record<string, number | bigint | string | Uint8Array | null>;

/** The column of the rows' checksums. */
export const CHECKSUM = "crc32";

export const checksumElement: SchemaElement = { name: CHECKSUM, type: "INT32", converted_type: "UINT_32", repetition_type: "REQUIRED" };

/** What Parquet's schema says of a column. */
export function elementOf(column: Column): SchemaElement {
  const { name } = column;
  switch (column.type) {
    case "id":
      return { name, type: "INT64", repetition_type: "REQUIRED" };
    case "uint64": // logical_type INTEGER would make the whole file unreadable to others
      return { name, type: "INT64", converted_type: "UINT_64", repetition_type: "REQUIRED" };
    case "int32":
      return { name, type: "INT32", repetition_type: "OPTIONAL" };
    case "text":
      return { name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" };
    case "tensor":
      return { name, type: "FIXED_LEN_BYTE_ARRAY", type_length: tensorBytes(column), repetition_type: "REQUIRED" };
  }
}

/** A row in the types of its columns. Throws a RangeError when a tensor has the wrong length. */
export function toStored(columns: Column[], row: Row): Stored {
  const stored: Stored = {};
  for (const column of columns) {
    const value = row[column.name];
    if (column.type === "tensor") stored[column.name] = tensorToBytes(column, value);
    else if (column.type === "id" || column.type === "uint64") stored[column.name] = BigInt(value as number | bigint);
    else stored[column.name] = (value ?? null) as number | string | null;
  }
  return stored;
}

/** The inverse of `toStored`. */
export function fromStored(columns: Column[], stored: Stored): Row {
  const row: Row = {};
  for (const column of columns) {
    const value = stored[column.name];
    if (column.type === "tensor") row[column.name] = tensorFromBytes(column, value as Uint8Array);
    else if (column.type === "id") row[column.name] = Number(value);
    else row[column.name] = (value ?? null) as Exclude<Row[string], undefined>;
  }
  return row;
}

/** The bytes of a row's tensor. */
export function tensorBytes({ length, dtype }: TensorColumn): number {
  return length * (dtype === "float32" ? 4 : 2);
}

function tensorToBytes(column: TensorColumn, value: Row[string]): Uint8Array {
  const type = column.dtype === "int16" ? Int16Array : Float32Array;
  if (!(value instanceof type) || value.length !== column.length) {
    const length = (value as Float32Array | undefined)?.length ?? "no";
    throw new RangeError(`Cannot store ${length} values in column "${column.name}": expected ${column.length} as ${type.name}`);
  }
  const stored = column.dtype === "float16" ? toHalf(value as Float32Array) : value;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** A view where the values are not in halves: the bytes of a row group's column start aligned. */
function tensorFromBytes({ dtype, length }: TensorColumn, { buffer, byteOffset }: Uint8Array): Float32Array | Int16Array {
  if (dtype === "int16") return new Int16Array(buffer, byteOffset, length);
  return dtype === "float16" ? fromHalf(new Uint16Array(buffer, byteOffset, length)) : new Float32Array(buffer, byteOffset, length);
}

let scratch = Buffer.alloc(4096);

/**
 * CRC-32 over the columns in order, little-endian: ids and seeds 8 bytes, numbers 4, tensors their blob, texts a 4-byte
 * length and UTF-8. A byte 1 stands before each value that may be null, 0 in place of null.
 */
export function checksumOf(columns: Column[], row: Stored): number {
  let crc = 0;
  let at = 0; // what is gathered in scratch: one long stretch is checked faster than many short ones
  for (const { name, type } of columns) {
    const value = row[name];
    if (at + 16 > scratch.length) scratch = Buffer.concat([scratch], 2 * scratch.length);
    if (type === "tensor") {
      if (at > 0) crc = crc32(scratch.subarray(0, at), crc);
      crc = crc32(value as Uint8Array, crc);
      at = 0;
    } else if (type === "id" || type === "uint64") {
      at = scratch.writeBigUInt64LE(BigInt.asUintN(64, value as bigint), at);
    } else if (value === null || value === undefined) {
      at = scratch.writeUInt8(0, at);
    } else {
      at = scratch.writeUInt8(1, at);
      const length = type === "text" ? Buffer.byteLength(value as string) : undefined;
      at = scratch.writeInt32LE(length ?? (value as number), at);
      if (length === undefined) continue;
      if (at + length > scratch.length) scratch = Buffer.concat([scratch], 2 * (at + length));
      at += scratch.write(value as string, at);
    }
  }
  return at > 0 ? crc32(scratch.subarray(0, at), crc) : crc;
}

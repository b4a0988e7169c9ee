/**
 * One shard: a Parquet file whose bytes are a pure function of its rows and metadata. Tensors are raw little-endian
 * blobs (FIXED_LEN_BYTE_ARRAY), since list columns are 25 to 100 times slower here. No Parquet library notices a
 * flipped bit in plain data, so every row carries the CRC-32 of its stored values.
 */
import { open } from "node:fs/promises";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  type RowGroup,
  type SchemaElement,
} from "hyparquet";
import { ByteWriter } from "hyparquet-writer";
import { fromHalf, toHalf } from "../schemas/numbers/half.ts";
import { crc32 } from "../schemas/numbers/crc.ts";
import { writeParquet } from "./parquet.ts";
import { inTurns } from "./turns.ts";

export type Column =
  | { name: string; type: "id" } // non-negative safe integer, INT64
  | { name: string; type: "uint64" }
  | { name: string; type: "int32" | "text" } // may be null
  | { name: string; type: "tensor"; length: number; dtype: "float32" | "float16" };

/** A row as callers see it: tensors are float32 whatever their stored type. */
export type Row = Record<string, number | bigint | string | Float32Array | null | undefined>;

/** A row as it is stored. */
type Stored = Record<string, number | bigint | string | Uint8Array | null>;

export interface DecodedShard {
  rows: Row[];
  metadata: Record<string, string>;
  /** Positions in `rows` whose checksum does not match their values. */
  damaged: number[];
}

const checksum = "crc32";
const groupBytes = 4 * 2 ** 20;

/**
 * The bytes of a shard, made a few milliseconds at a time, since this is the control thread. Throws a RangeError when a
 * tensor has the wrong length.
 */
export async function encodeShard(options: { columns: Column[]; rows: Row[]; metadata: Record<string, string> }): Promise<Uint8Array> {
  const { columns, metadata } = options;
  const rowBytes = columns.reduce((sum, column) => sum + (column.type === "tensor" ? tensorBytes(column) : 16), 16);
  const rows = await inTurns(options.rows, rowBytes, (row) => toStored(columns, row));
  const checksums = await inTurns(rows, rowBytes, (row) => checksumOf(columns, row));
  const writer = writerOf(4096 + rowBytes * rows.length);
  await writeParquet({
    ...{ writer, name: "onestep", metadata, createdBy: "onestep" },
    columns: [
      ...columns.map((column) => ({ element: elementOf(column), values: rows.map((row) => row[column.name]) })),
      { element: checksumElement, values: checksums },
    ],
    rows: rows.length,
    rowsPerGroup: rowsPerGroup(rowBytes),
  });
  const bytes = writer.getBytes();
  if (rows.length === 0) mendEmptyList(bytes);
  return bytes;
}

let spare: ArrayBuffer | undefined; // of an earlier shard: fresh memory costs as much as filling it

function writerOf(size: number): ByteWriter {
  if (spare === undefined || spare.byteLength < size) return new ByteWriter(size);
  const writer = new ByteWriter(0);
  writer.buffer = spare;
  writer.view = new DataView(spare);
  spare = undefined;
  return writer;
}

/** Says that nobody reads the bytes of an encoded shard any more: the next one may take their place. */
export function recycle(bytes: Uint8Array): void {
  spare = bytes.buffer as ArrayBuffer;
}

/** Decodes rows `from` (inclusive) to `to` (exclusive), all by default. Throws what hyparquet throws on a damaged file. */
export async function decodeShard(options: { columns: Column[]; file: AsyncBuffer; from?: number; to?: number }): Promise<DecodedShard> {
  const { columns, file, from = 0, to = Infinity } = options;
  const parquet = await parquetMetadataAsync(file);
  const count = Number(parquet.num_rows);
  const end = Math.min(to, count);
  const stored = from < end ? await readStored({ columns, file, parquet, from, end }) : [];
  const damaged: number[] = [];
  const rows = stored.map((row, i) => {
    if (checksumOf(columns, row) !== row[checksum]) damaged.push(i);
    return fromStored(columns, row);
  });
  return { rows, metadata: metadataOf(parquet), damaged };
}

/** The rows of a range as they are stored; tensors are views into as few buffers as there are row groups. */
async function readStored({
  columns,
  file,
  parquet,
  from,
  end,
}: {
  columns: Column[];
  file: AsyncBuffer;
  parquet: FileMetaData;
  from: number;
  end: number;
}): Promise<Stored[]> {
  const tensors = columns.filter((column) => column.type === "tensor");
  const names = [...columns.filter(({ type }) => type !== "tensor").map(({ name }) => name), checksum];
  const range = { rowStart: from, rowEnd: end };
  const stored = (await parquetReadObjects({ file, metadata: parquet, columns: names, ...range, parsers })) as Stored[];
  let start = 0; // of the row group
  for (const group of parquet.row_groups) {
    const rows = Number(group.num_rows);
    const [first, last] = [Math.max(from, start), Math.min(end, start + rows)];
    for (const column of first < last ? tensors : []) {
      const at = tensorsAt(column, group, rows);
      const width = tensorBytes(column);
      const bytes = new Uint8Array(await file.slice(at + (first - start) * width, at + (last - start) * width));
      if (bytes.length !== (last - first) * width) throw new Error(`it ends within column ${column.name}`);
      for (let row = first; row < last; row++) {
        stored[row - from]![column.name] = bytes.subarray((row - first) * width, (row - first + 1) * width);
      }
    }
    start += rows;
  }
  return stored;
}

/** Where the first tensor of a row group's column lies: its one plain page ends with the column's bytes. */
function tensorsAt(column: TensorColumn, group: RowGroup, rows: number): number {
  const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column.name)?.meta_data;
  const bytes = rows * tensorBytes(column);
  if (chunk?.codec !== "UNCOMPRESSED" || Number(chunk.total_compressed_size) < bytes) {
    throw new Error(`column ${column.name} is not as it was written`);
  }
  return Number(chunk.data_page_offset) + Number(chunk.total_compressed_size) - bytes;
}

/**
 * The key-value metadata of a shard file, without reading its rows.
 *
 * @example
 * import { readShardMetadata } from "onestep/store/shard";
 * import { shardPath } from "onestep/store/store";
 * const { fingerprint } = await readShardMetadata(shardPath(latents, 0));
 * assert.equal(fingerprint, latents.fingerprint);
 */
export async function readShardMetadata(path: string): Promise<Record<string, string>> {
  const file = await openBuffer(path);
  try {
    return metadataOf(await parquetMetadataAsync(file, { initialFetchSize: 2 ** 14 }));
  } finally {
    await file.close();
  }
}

/**
 * A file's bytes on demand, by positioned reads: 2.5 times as fast as hyparquet's own streams. Close it after use.
 *
 * @example
 * import { openBuffer } from "onestep/store/shard";
 * import { shardPath } from "onestep/store/store";
 * const file = await openBuffer(shardPath(latents, 0));
 * assert.equal(new TextDecoder().decode(await file.slice(0, 4)), "PAR1");
 * await file.close();
 */
export async function openBuffer(path: string): Promise<AsyncBuffer & { close: () => Promise<void> }> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    byteLength: size,
    slice: async (start: number, end = size) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) throw new Error(`${path} ended after ${start + filled} bytes, expected ${size}`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
    close: () => file.close(),
  };
}

/**
 * Bytes in memory as hyparquet wants them.
 *
 * @example
 * import { memoryBuffer } from "onestep/store/shard";
 * const { byteLength, slice } = memoryBuffer(Uint8Array.of(1, 2, 3));
 * assert.deepEqual([byteLength, new Uint8Array(await slice(1))], [3, Uint8Array.of(2, 3)]);
 */
export function memoryBuffer(bytes: Uint8Array): AsyncBuffer {
  return {
    byteLength: bytes.length,
    slice: (start, end = bytes.length) => new Uint8Array(bytes.subarray(start, end)).buffer,
  };
}

// TextDecoder, hyparquet's default, would drop a byte order mark.
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString() : bytes) };

const checksumElement: SchemaElement = { name: checksum, type: "INT32", converted_type: "UINT_32", repetition_type: "REQUIRED" };

function elementOf(column: Column): SchemaElement {
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

function toStored(columns: Column[], row: Row): Stored {
  const stored: Stored = {};
  for (const column of columns) {
    const value = row[column.name];
    if (column.type === "tensor") stored[column.name] = tensorToBytes(column, value);
    else if (column.type === "id" || column.type === "uint64") stored[column.name] = BigInt(value as number | bigint);
    else stored[column.name] = (value ?? null) as number | string | null;
  }
  return stored;
}

function fromStored(columns: Column[], stored: Stored): Row {
  const row: Row = {};
  for (const column of columns) {
    const value = stored[column.name];
    if (column.type === "tensor") row[column.name] = tensorFromBytes(column, value as Uint8Array);
    else if (column.type === "id") row[column.name] = Number(value);
    else row[column.name] = (value ?? null) as number | bigint | string | null;
  }
  return row;
}

type TensorColumn = Column & { type: "tensor" };

function tensorBytes({ length, dtype }: TensorColumn): number {
  return length * (dtype === "float16" ? 2 : 4);
}

function tensorToBytes(column: TensorColumn, value: Row[string]): Uint8Array {
  if (!(value instanceof Float32Array) || value.length !== column.length) {
    const length = (value as Float32Array | undefined)?.length ?? "no";
    throw new RangeError(`Cannot store ${length} values in column "${column.name}": expected ${column.length} as Float32Array`);
  }
  const stored = column.dtype === "float16" ? toHalf(value) : value;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** A view where the values are float32: the bytes of a row group's column start aligned. */
function tensorFromBytes({ dtype, length }: TensorColumn, { buffer, byteOffset }: Uint8Array): Float32Array {
  return dtype === "float16" ? fromHalf(new Uint16Array(buffer, byteOffset, length)) : new Float32Array(buffer, byteOffset, length);
}

let scratch = Buffer.alloc(4096);

/**
 * CRC-32 over the columns in order, little-endian: ids and seeds 8 bytes, numbers 4, tensors their blob, texts a 4-byte
 * length and UTF-8. A byte 1 stands before each value that may be null, 0 in place of null.
 */
function checksumOf(columns: Column[], row: Stored): number {
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

/**
 * Without rows, hyparquet-writer 0.17.0 gives the empty list of row groups no element type, which strict readers refuse;
 * it must be struct (12). In thrift's compact form: num_rows = 0 (16 00), row_groups (19), the list's header.
 */
function mendEmptyList(bytes: Uint8Array): void {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(Buffer.from([0x16, 0x00, 0x19, 0x00]));
  if (at >= 0) bytes[at + 3] = 0x0c;
}

function rowsPerGroup(rowBytes: number): number {
  return Math.max(1, Math.floor(groupBytes / rowBytes));
}

function metadataOf(parquet: FileMetaData): Record<string, string> {
  return Object.fromEntries((parquet.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ""]));
}

/** One shard: a Parquet file whose bytes are a pure function of its rows and metadata. */
import { type AsyncBuffer, type FileMetaData, parquetReadObjects, type RowGroup } from "hyparquet";
import { ByteWriter } from "hyparquet-writer";
import { Failure } from "../schemas/failure.ts";
import { openBuffer } from "./buffers.ts";
import { checkPages, chunkOf, keyValues, mostFooterBytes, mostShardBytes, readFooter } from "./footer.ts";
import { writeParquet } from "./parquet.ts";
import {
  CHECKSUM,
  type Column,
  checksumElement,
  checksumOf,
  elementOf,
  fromStored,
  type Row,
  type Stored,
  tensorBytes,
  toStored,
} from "./stored-rows.ts";
import { inTurns } from "./turns.ts";

export interface DecodedRows {
  rows: Row[];
  /** Positions in `rows` whose checksum does not match their values. */
  damaged: number[];
}

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
  checkSize(bytes);
  return bytes;
}

/** What no reader would take must not be written. */
function checkSize(bytes: Uint8Array): void {
  const footer = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(bytes.length - 8, true);
  if (footer <= mostFooterBytes && bytes.length <= mostShardBytes) return;
  throw new Failure(
    `Cannot write a shard of ${bytes.length} bytes, ${footer} of them for rows that failed: a shard has at most ${mostShardBytes} and ` +
      `${mostFooterBytes}. Make smaller shards with simulate.rowsPerShard or encoder.rowsPerShard.`,
  );
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

/**
 * Decodes rows `from` (inclusive) to `to` (exclusive) of a file whose layout `checkLayout` found right. Throws an Error in words
 * where a page is not what its column says.
 */
export async function decodeRows(options: {
  columns: Column[];
  file: AsyncBuffer;
  parquet: FileMetaData;
  from: number;
  to: number;
}): Promise<DecodedRows> {
  const { columns, from, to } = options;
  const stored = from < to ? await readStored(options) : [];
  const damaged: number[] = [];
  const rows = stored.map((row, i) => {
    if (checksumOf(columns, row) !== row[CHECKSUM]) damaged.push(i);
    return fromStored(columns, row);
  });
  return { rows, damaged };
}

/** The rows of a range as they are stored; tensors are views into as few buffers as there are row groups. */
async function readStored({ columns, file, parquet, from, to }: Parameters<typeof decodeRows>[0]): Promise<Stored[]> {
  const tensors = columns.filter((column) => column.type === "tensor");
  const groups = groupsOf(parquet, from, to);
  for (const { group } of groups) await checkPages({ columns: [...columns, undefined], file, group });
  const names = [...columns.filter(({ type }) => type !== "tensor").map(({ name }) => name), CHECKSUM];
  const range = { rowStart: from, rowEnd: to };
  const stored = (await parquetReadObjects({ file, metadata: parquet, columns: names, ...range, parsers })) as Stored[];
  for (const { group, start, rows } of groups) {
    const [first, last] = [Math.max(from, start), Math.min(to, start + rows)];
    for (const column of tensors) {
      const width = tensorBytes(column);
      const { data_page_offset: page, total_compressed_size: size } = chunkOf(group, column.name);
      const at = Number(page) + Number(size) - rows * width; // its one page ends with the values
      const bytes = new Uint8Array(await file.slice(at + (first - start) * width, at + (last - start) * width));
      for (let row = first; row < last; row++) {
        stored[row - from]![column.name] = bytes.subarray((row - first) * width, (row - first + 1) * width);
      }
    }
  }
  return stored;
}

/** All that is no tensor of a file whose layout was checked, row by row, unchecked: for choosing rows by it. */
export async function decodeScalars(options: {
  columns: Column[];
  file: AsyncBuffer;
  parquet: FileMetaData;
}): Promise<Record<string, unknown>[]> {
  const { file, parquet } = options;
  const columns = options.columns.filter(({ type }) => type !== "tensor");
  for (const group of parquet.row_groups) await checkPages({ columns, file, group });
  return parquetReadObjects({ file, metadata: parquet, columns: columns.map(({ name }) => name), parsers });
}

/** A row group, the position of its first row in the shard, and how many it has. */
export interface Placed {
  group: RowGroup;
  start: number;
  rows: number;
}

/** The row groups that hold rows of a range, and where each starts. */
export function groupsOf({ row_groups }: FileMetaData, from: number, to: number): Placed[] {
  let start = 0;
  const placed = row_groups.map((group) => {
    const rows = Number(group.num_rows);
    start += rows;
    return { group, start: start - rows, rows };
  });
  return placed.filter((each) => each.start < to && each.start + each.rows > from);
}

/**
 * The key-value metadata of a shard file, without reading its rows: as it stands there, unchecked.
 *
 * @example
 * import { readShardMetadata } from "./shard.ts";
 * import { shardPath } from "./store.ts";
 * const { fingerprint } = await readShardMetadata(shardPath(latents, 0));
 * assert.equal(fingerprint, latents.fingerprint);
 */
export async function readShardMetadata(path: string): Promise<Record<string, string>> {
  const file = await openBuffer(path);
  try {
    return keyValues(await readFooter(file));
  } finally {
    await file.close();
  }
}

// TextDecoder, hyparquet's default, would drop a byte order mark.
export const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString() : bytes) };

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

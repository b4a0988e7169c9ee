/** One shard: a Parquet file whose bytes are a pure function of its rows and metadata. */
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects, type RowGroup } from "hyparquet";
import { ByteWriter } from "hyparquet-writer";
import { openBuffer } from "./buffers.ts";
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
  type TensorColumn,
  tensorBytes,
  toStored,
} from "./stored-rows.ts";
import { inTurns } from "./turns.ts";

export interface DecodedShard {
  rows: Row[];
  metadata: Record<string, string>;
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
    if (checksumOf(columns, row) !== row[CHECKSUM]) damaged.push(i);
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
  const names = [...columns.filter(({ type }) => type !== "tensor").map(({ name }) => name), CHECKSUM];
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

// TextDecoder, hyparquet's default, would drop a byte order mark.
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString() : bytes) };

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

/** One shard: a file whose bytes are a pure function of its rows and metadata, in one of the formats. */
import { extname } from "node:path";
import type { AsyncBuffer } from "hyparquet";
import { Failure } from "../../schemas/failure.ts";
import { bytesIn, openBuffer } from "../places/buffers.ts";
import { formatNamed } from "./formats.ts";
import { parquetShards } from "./parquet-shard.ts";
import { mostFooterBytes, mostShardBytes, rowBytesOf, type RowGroup, type ShardFormat } from "./shard-format.ts";
import {
  CHECKSUM,
  type Column,
  checksumOf,
  fromStored,
  type Row,
  type Stored,
  tensorBytes,
  type TensorColumn,
  toStored,
} from "./stored-rows.ts";
import { inTurns } from "../places/turns.ts";

export interface DecodedRows {
  rows: Row[];
  /** Positions in `rows` whose checksum does not match their values. */
  damaged: number[];
}

/**
 * The bytes of a shard, made a few milliseconds at a time, since this is the control thread. Throws a RangeError when a
 * tensor has the wrong length.
 *
 * @example
 * import { encodeShard } from "./shard.ts";
 * const bytes = await encodeShard({ columns: [{ name: "id", type: "id" }], rows: [{ id: 3 }], metadata: {} });
 * assert.equal(new TextDecoder().decode(bytes.subarray(0, 4)), "PAR1");
 */
export async function encodeShard(options: {
  columns: Column[];
  rows: Row[];
  metadata: Record<string, string>;
  /** Parquet unless told. */
  format?: ShardFormat;
}): Promise<Uint8Array> {
  const { columns, metadata, format = parquetShards } = options;
  const rowBytes = rowBytesOf(columns);
  const rows = await inTurns(options.rows, rowBytes, (row) => toStored(columns, row));
  const checksums = await inTurns(rows, rowBytes, (row) => checksumOf(columns, row));
  const { bytes, description } = await format.encode({ columns, rows, checksums, metadata }, roomFor);
  if (description <= mostFooterBytes && bytes.length <= mostShardBytes) return bytes;
  // What no reader would take must not be written.
  throw new Failure(
    `Cannot write a shard of ${bytes.length} bytes, ${description} of them for rows that failed: a shard has at most ` +
      `${mostShardBytes} and ${mostFooterBytes}. Make smaller shards with simulate.rowsPerShard or encoder.rowsPerShard.`,
  );
}

let spare: ArrayBuffer | undefined; // of an earlier shard: fresh memory costs as much as filling it

function roomFor(size: number): ArrayBuffer {
  if (spare === undefined || spare.byteLength < size) return new ArrayBuffer(size);
  const room = spare;
  spare = undefined;
  return room;
}

/** Says that nobody reads the bytes of an encoded shard any more: the next one may take their place. */
export function recycle(bytes: Uint8Array): void {
  spare = bytes.buffer as ArrayBuffer;
}

/**
 * Decodes rows `from` (inclusive) to `to` (exclusive) of a file whose layout was found right. Throws an Error in words where the file is
 * not what its end says.
 */
export async function decodeRows(options: {
  columns: Column[];
  file: AsyncBuffer;
  groups: readonly RowGroup[];
  from: number;
  to: number;
  /** Called with each row that matches its checksum, whose values have just been read. */
  onSound?: ((row: Row) => void) | undefined;
}): Promise<DecodedRows> {
  const { columns, file, groups, from, to, onSound } = options;
  const tensors = columns.filter((column): column is TensorColumn => column.type === "tensor");
  const names = [...columns.map(({ name }) => name), CHECKSUM];
  const stored: Stored[] = [];
  for (const group of groups) {
    const [first, last] = [Math.max(from - group.start, 0), Math.min(to - group.start, group.rows)];
    if (first >= last) continue;
    const { rows, places } = await group.read({ file, columns: names, from: first, to: last });
    for (const column of tensors) {
      const width = tensorBytes(column);
      const at = places.get(column.name)!;
      const bytes = await bytesIn(file, at + first * width, at + last * width);
      for (const [i, row] of rows.entries()) row[column.name] = bytes.subarray(i * width, (i + 1) * width);
    }
    for (const row of rows) stored.push(row);
  }
  const damaged: number[] = [];
  let at = 0;
  const rows = await inTurns(stored, rowBytesOf(columns), (row) => {
    const decoded = fromStored(columns, row);
    if (checksumOf(columns, row) === row[CHECKSUM]) onSound?.(decoded);
    else damaged.push(at);
    at++;
    return decoded;
  });
  return { rows, damaged };
}

/** All that is no tensor of a file whose layout was checked, row by row, unchecked: for choosing rows by it. */
export async function decodeScalars(options: {
  columns: Column[];
  file: AsyncBuffer;
  groups: readonly RowGroup[];
}): Promise<Record<string, unknown>[]> {
  const { file, groups } = options;
  const columns = options.columns.filter(({ type }) => type !== "tensor").map(({ name }) => name);
  const all: Stored[] = [];
  for (const group of groups) for (const row of (await group.read({ file, columns, from: 0, to: group.rows })).rows) all.push(row);
  return all;
}

/**
 * The key-value metadata of a shard file, without reading its rows: as it stands there, unchecked.
 *
 * @example
 * import { readShardMetadata } from "./shard.ts";
 * import { shardPath } from "../shards/store.ts";
 * const { fingerprint } = await readShardMetadata(shardPath(latents, 0));
 * assert.equal(fingerprint, latents.fingerprint);
 */
export async function readShardMetadata(path: string): Promise<Record<string, string>> {
  const file = await openBuffer(path);
  try {
    return (await formatNamed(extname(path).slice(1)).readEnd(file)).pairs;
  } finally {
    await file.close();
  }
}

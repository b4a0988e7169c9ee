/**
 * Shards as Arrow IPC files: what their readers map into memory as it lies there. The values of every column begin at a multiple of 64
 * bytes, so that a tensor is looked at where it was read.
 */
import type { AsyncBuffer } from "hyparquet";
import { type ArrowEnd, type Block, checkSchema, pairsOf, readArrowEnd } from "./arrow-end.ts";
import { ALIGNMENT, bufferLengths, type FileColumn, fileColumns, nodesOf, padded } from "./arrow-layout.ts";
import { bytesIn } from "../places/buffers.ts";
import { hasField, listIn, numberIn, rootTable, type Table, tableIn } from "./flatbuffer.ts";
import { type RowGroup, rowsPerGroup, type ShardFormat } from "./shard-format.ts";
import { type Column, type Stored, tensorBytes } from "./stored-rows.ts";

export const arrowShards: ShardFormat = {
  encode: async (content, room) => (await import("./arrow-write.ts")).encodeArrow(content, room), // readers need no Apache Arrow
  readEnd: async (file) => {
    const end = await readArrowEnd(file);
    return { pairs: pairsOf(end.schema), groups: (expected) => groupsOf(end, expected) };
  },
};

function groupsOf({ schema, blocks, start }: ArrowEnd, { columns, rows }: { columns: readonly Column[]; rows: number }): RowGroup[] {
  checkSchema(schema, columns);
  const most = rowsPerGroup(columns);
  const count = Math.ceil(rows / most);
  if (blocks.length !== count) throw new Error(`it has ${blocks.length} record batches, expected ${count} for ${rows} rows`);
  const rowBytes = columns.reduce((sum, column) => sum + (column.type === "tensor" ? tensorBytes(column) : 0), 0);
  let at = blocks[0]?.offset ?? start - 8;
  if (!(at >= 16 && at % ALIGNMENT === 0) && count > 0) throw new Error(`its record batch 0 begins at byte ${at}`);
  const groups = blocks.map((block, i) => {
    const { offset, message, body } = block;
    const held = Math.min(most, rows - i * most);
    if (offset !== at) throw new Error(`its record batch ${i} begins at byte ${offset}, expected ${at}`);
    if (!(message > 8 && message % ALIGNMENT === 0)) throw new Error(`the message of its record batch ${i} has ${message} bytes`);
    if (!(body >= held * rowBytes)) throw new Error(`its record batch ${i} has ${body} bytes, too few for ${held} rows`);
    at += message + body;
    const read = (options: Parameters<RowGroup["read"]>[0]) => readBatch({ ...options, all: columns, block, rows: held, isFirst: i === 0 });
    return { start: i * most, rows: held, bytes: { from: i === 0 ? LEAD : offset, to: at, aligned: offset + message }, read };
  });
  if (at !== start - 8) throw new Error(`its record batches end at byte ${at}, expected ${start - 8}`);
  return groups;
}

const LEAD = 8; // the place of the first message, which repeats the schema

/** A buffer of a column, by its place in the file. */
interface Region {
  at: number;
  length: number;
}

async function readBatch(options: {
  file: AsyncBuffer;
  /** Which are wanted, and all that there are. */
  columns: readonly string[];
  all: readonly Column[];
  block: Block;
  rows: number;
  isFirst: boolean;
  from: number;
  to: number;
}): ReturnType<RowGroup["read"]> {
  const { file, columns: names, all, block, rows, isFirst, from, to } = options;
  if (isFirst) checkSchema(await headerOf(file, { at: LEAD, length: block.offset - LEAD, kind: SCHEMA, body: 0 }), all);
  const place = { at: block.offset, length: block.message, kind: RECORD_BATCH, body: block.body };
  const found = regionsOf(await headerOf(file, place), { columns: fileColumns(all), block, rows });
  const stored = Array.from({ length: to - from }, (): Stored => ({}));
  const places = new Map<string, number>();
  for (const { column, nulls, regions } of found) {
    if (!names.includes(column.name)) continue;
    if (column.type === "tensor") places.set(column.name, regions[2]!.at);
    else {
      const [validity, ...others] = await Promise.all(regions.map(({ at, length }) => bytesIn(file, at, at + length)));
      const isThere = nulls > 0 ? present(column.name, { bits: validity!, rows, nulls }) : () => true;
      const valueAt = valuesOf(column, others, rows);
      for (const [i, row] of stored.entries()) row[column.name] = isThere(from + i) ? valueAt(from + i) : null;
    }
  }
  return { rows: stored, places };
}

const SCHEMA = 1; // as Arrow's MessageHeader numbers them
const RECORD_BATCH = 3;
const V5 = 4;

/** The header of the message at a place. Throws an Error where there is another. */
async function headerOf(
  file: AsyncBuffer,
  { at, length, kind, body }: { at: number; length: number; kind: number; body: number },
): Promise<Table> {
  const bytes = await bytesIn(file, at, at + length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wrong = (what: string) => new Error(`the message at byte ${at} ${what}`);
  if (view.getUint32(0, true) !== 0xffffffff || view.getUint32(4, true) !== length - 8) throw wrong(`is not one of ${length} bytes`);
  const message = rootTable(bytes.subarray(8));
  const found = [numberIn(message, 0, "Int16"), numberIn(message, 1, "Uint8"), numberIn(message, 3, "BigInt64")];
  if (found.some((value, i) => value !== [V5, kind, body][i])) {
    throw wrong(`is of version ${found[0]! + 1}, kind ${found[1]} and a body of ${found[2]} bytes, expected 5, ${kind} and ${body}`);
  }
  return tableIn(message, 2);
}

/** Where the buffers of each column lie, which must be all of the body and in order. */
function regionsOf(batch: Table, { columns, block, rows }: { columns: readonly FileColumn[]; block: Block; rows: number }) {
  const { view } = batch;
  const wrong = (what: string) => new Error(`its record batch at byte ${block.offset} ${what}`);
  if (numberIn(batch, 0, "BigInt64") !== rows) throw wrong(`has ${numberIn(batch, 0, "BigInt64")} rows, expected ${rows}`);
  if (hasField(batch, 3)) throw wrong("is compressed");
  const [nodes, buffers] = [listIn(batch, 1, 16), listIn(batch, 2, 16)];
  const pairAt = ({ at }: { at: number }, i: number) => [0, 8].map((half) => Number(view.getBigInt64(at + 16 * i + half, true)));
  const counted = (count: (column: FileColumn) => number) => columns.reduce((sum, column) => sum + count(column), 0);
  const expected = [counted((column) => nodesOf(column, rows).length), counted((column) => bufferLengths(column, rows).length)];
  if (nodes.length !== expected[0] || buffers.length !== expected[1]) {
    throw wrong(`has ${nodes.length} nodes and ${buffers.length} buffers, expected ${expected.join(" and ")}`);
  }
  let [node, buffer, at] = [0, 0, 0];
  const found = columns.map((column) => {
    const [, nulls = 0] = pairAt(nodes, node);
    const mayBeNull = column.type === "int32" || column.type === "text";
    if (!(nulls >= 0 && nulls <= (mayBeNull ? rows : 0)))
      throw wrong(`says that ${nulls} of its ${rows} values of ${column.name} are null`);
    for (const { length, nulls: of } of nodesOf(column, rows, nulls)) {
      const [said, missing] = pairAt(nodes, node++);
      if (said !== length || missing !== of) throw wrong(`has ${said} values (${missing} null) of ${column.name}, expected ${length}`);
    }
    const [, text = 0] = column.type === "text" ? pairAt(buffers, buffer + 2) : [];
    if (!(text >= 0 && text <= block.body)) throw wrong(`has texts of ${text} bytes in ${column.name}`);
    const regions = bufferLengths(column, rows, { nulls, text }).map((length): Region => {
      const [place, said] = pairAt(buffers, buffer++);
      if (place !== at || said !== length) {
        throw wrong(`has ${said} bytes of ${column.name} at ${place}, expected ${length} at ${at}`);
      }
      at += padded(length);
      return { at: block.offset + block.message + place, length };
    });
    return { column, nulls, regions };
  });
  if (at !== block.body) throw wrong(`has a body of ${block.body} bytes, expected ${at}`);
  return found;
}

/** Whether a row has a value, by its bit. Throws an Error where the bits are not of so many that have none. */
function present(name: string, { bits, rows, nulls }: { bits: Uint8Array; rows: number; nulls: number }): (row: number) => boolean {
  const isThere = (row: number): boolean => ((bits[row >> 3]! >> (row & 7)) & 1) === 1;
  let missing = 0;
  for (let row = 0; row < rows; row++) if (!isThere(row)) missing++;
  if (missing !== nulls) throw new Error(`its column ${name} has ${missing} values that are null, expected ${nulls}`);
  return isThere;
}

/** What stands in a row of a column that is no tensor. */
function valuesOf(column: FileColumn, buffers: readonly Uint8Array[], rows: number): (row: number) => bigint | number | string {
  const [values, texts] = buffers;
  const view = new DataView(values!.buffer, values!.byteOffset, values!.length);
  if (column.type === "id") return (row) => view.getBigInt64(8 * row, true);
  if (column.type === "uint64") return (row) => view.getBigUint64(8 * row, true);
  if (column.type === "int32") return (row) => view.getInt32(4 * row, true);
  if (column.type === "uint32") return (row) => view.getUint32(4 * row, true);
  const begin = (row: number): number => view.getInt32(4 * row, true);
  for (let row = 0; row < rows; row++) {
    if (begin(row) > begin(row + 1)) throw new Error(`its text of ${column.name} in row ${row} ends before it begins`);
  }
  if (begin(0) !== 0 || begin(rows) !== texts!.length) throw new Error(`its texts of ${column.name} are not those of its rows`);
  const text = Buffer.from(texts!.buffer as ArrayBuffer, texts!.byteOffset, texts!.length);
  return (row) => text.toString("utf8", begin(row), begin(row + 1));
}

/**
 * The bytes of an Arrow IPC file. Apache Arrow's own functions encode its descriptions; the values are copied once, straight to their
 * place, since its writer would gather them first and join them then.
 */
import { setImmediate } from "node:timers/promises";
import { Field as ArrowField, Schema, Uint32 } from "apache-arrow";
import { FileBlock, Footer } from "apache-arrow/ipc/metadata/file";
import { BufferRegion, FieldNode, Message, RecordBatch } from "apache-arrow/ipc/metadata/message";
import { arrowSchema } from "./arrow.ts";
import { bufferLengths, type FileColumn, fileColumns, nodesOf, padded, validityOf } from "./arrow-layout.ts";
import { fieldOf } from "./columns.ts";
import { rowsPerGroup, type ShardFormat } from "./shard-format.ts";
import { CHECKSUM, type Stored } from "./stored-rows.ts";

const MAGIC = Buffer.from("ARROW1");
const LEAD = 8; // bytes of the mark at the start and what follows it up to the first message
const CONTINUES = 0xffffffff; // stands before the length of a message
const V5 = 4; // of Arrow's metadata, as MetadataVersion numbers them

/** A buffer of a body: where in it, and the bytes one after the other. */
interface Part {
  at: number;
  bytes: Uint8Array[];
}

/** As `ShardFormat.encode`. */
export const encodeArrow: ShardFormat["encode"] = async ({ columns, rows, checksums, metadata }, room) => {
  const all = fileColumns(columns);
  const { fields } = arrowSchema(columns.map(fieldOf));
  const schema = new Schema([...fields, new ArrowField(CHECKSUM, new Uint32(), false)], new Map(Object.entries(metadata)));
  const lead = messageBytes(Message.from(schema as never), LEAD);
  const batches: { head: Uint8Array; parts: Part[]; length: number }[] = [];
  for (let from = 0, size = rowsPerGroup(columns); from < rows.length; from += size) {
    batches.push(batchOf(all, { rows: rows.slice(from, from + size), checksums: checksums.slice(from, from + size) }));
    await setImmediate();
  }
  const blocks: FileBlock[] = [];
  let end = LEAD + lead.length;
  for (const { head, length } of batches) {
    blocks.push(new FileBlock(head.length, length, end));
    end += head.length + length;
  }
  const footer = Footer.encode(new Footer(schema as never, V5, blocks, []));
  const size = end + 8 + footer.length + 10;
  const bytes = new Uint8Array(room(size), 0, size);
  bytes.fill(0, 0, LEAD).set(MAGIC);
  bytes.set(lead, LEAD);
  for (const [i, { head, parts, length }] of batches.entries()) {
    const { offset } = blocks[i]!;
    bytes.set(head, offset);
    fillBody(bytes.subarray(offset + head.length, offset + head.length + length), parts);
    await setImmediate();
  }
  const view = new DataView(bytes.buffer);
  view.setUint32(end, CONTINUES, true); // no further message
  view.setUint32(end + 4, 0, true);
  bytes.set(footer, end + 8);
  view.setUint32(end + 8 + footer.length, footer.length, true);
  bytes.set(MAGIC, end + 12 + footer.length);
  return { bytes, description: footer.length };
};

/** A message with the length before it, so long that what follows is aligned where it begins `before` bytes behind a place that is. */
function messageBytes(message: Message, before = 0): Uint8Array {
  const encoded = Message.encode(message);
  const length = padded(before + 8 + encoded.length) - before;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, CONTINUES, true);
  view.setUint32(4, length - 8, true);
  bytes.set(encoded, 8);
  return bytes;
}

function batchOf(
  columns: readonly FileColumn[],
  { rows, checksums }: { rows: readonly Stored[]; checksums: readonly number[] },
): { head: Uint8Array; parts: Part[]; length: number } {
  const nodes: FieldNode[] = [];
  const regions: BufferRegion[] = [];
  const parts: Part[] = [];
  let at = 0;
  for (const column of columns) {
    const values = column.type === "uint32" ? checksums : rows.map((row) => row[column.name] ?? null);
    const nulls = values.filter((value) => value === null).length;
    const text = column.type === "text" ? values.map((value) => Buffer.from((value as string | null) ?? "")) : [];
    const lengths = bufferLengths(column, rows.length, { nulls, text: text.reduce((sum, { length }) => sum + length, 0) });
    for (const { length, nulls: of } of nodesOf(column, rows.length, nulls)) nodes.push(new FieldNode(length, of));
    const contents = [nulls > 0 ? [validityOf(values)] : [], ...contentsOf(column, values, text)];
    for (const [i, length] of lengths.entries()) {
      regions.push(new BufferRegion(at, length));
      parts.push({ at, bytes: contents[i]! });
      at += padded(length);
    }
  }
  const batch = new RecordBatch(rows.length, nodes, regions, null);
  return { head: messageBytes(Message.from(batch as never, at)), parts, length: at };
}

function contentsOf(column: FileColumn, values: readonly unknown[], text: readonly Buffer[]): Uint8Array[][] {
  switch (column.type) {
    case "id":
    case "uint64":
      return [[bytesOf(BigInt64Array.from(values as bigint[], (value) => BigInt.asIntN(64, value)))]];
    case "int32":
      return [[bytesOf(Int32Array.from(values as (number | null)[], (value) => value ?? 0))]];
    case "uint32":
      return [[bytesOf(Uint32Array.from(values as number[]))]];
    case "text": {
      const offsets = new Int32Array(values.length + 1);
      for (const [i, { length }] of text.entries()) offsets[i + 1] = offsets[i]! + length;
      return [[bytesOf(offsets)], [...text]];
    }
    case "tensor":
      return [[], values as Uint8Array[]];
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Copies the parts to their places, and zeros between them. */
function fillBody(body: Uint8Array, parts: readonly Part[]): void {
  let end = 0;
  for (const { at, bytes } of parts) {
    body.fill(0, end, at);
    end = at;
    for (const each of bytes) {
      body.set(each, end);
      end += each.length;
    }
  }
  body.fill(0, end);
}

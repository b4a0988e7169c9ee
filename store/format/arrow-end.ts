/** The descriptions in an Arrow IPC file, believed only as far as the format promises and the file's size allows. */
import type { AsyncBuffer } from "hyparquet";
import { type FileColumn, fileColumns } from "./arrow-layout.ts";
import { hasField, listIn, numberIn, rootTable, type Table, tableIn, tablesIn, textIn } from "./flatbuffer.ts";
import { fetchedBytes, mostFooterBytes } from "./shard-format.ts";
import type { Column } from "./stored-rows.ts";

/** Fields of Arrow's tables, in the order of its File.fbs, Message.fbs and Schema.fbs, and the numbers that its enums give. */
const footerOf = { version: 0, schema: 1, dictionaries: 2, batches: 3 };
const schemaOf = { endianness: 0, fields: 1, metadata: 2, features: 3 };
const fieldOf = { name: 0, nullable: 1, kind: 2, type: 3, dictionary: 4, children: 5, metadata: 6 };
const V5 = 4;
const kinds = { 2: "int", 3: "float", 5: "text", 16: "list" } as const;
const mostPairs = 64; // of metadata: a shard has 12

/** Bytes of a block in the footer's list: offset (8), length of the message (4 and 4 of padding), length of the body (8). */
const BLOCK = 24;

/** A record batch's message and body in the file. */
export interface Block {
  offset: number;
  message: number;
  body: number;
}

export interface ArrowEnd {
  schema: Table;
  blocks: Block[];
  /** Where in the file the description begins. */
  start: number;
}

/** Reads the end of a file. Throws an Error in words, before anything of the size that it claims is made. */
export async function readArrowEnd(file: AsyncBuffer): Promise<ArrowEnd> {
  const size = file.byteLength;
  if (size < 26) throw new Error(`it has ${size} bytes`);
  let end = new Uint8Array(await file.slice(Math.max(0, size - fetchedBytes), size));
  if (Buffer.from(end.subarray(-6)).toString("latin1") !== "ARROW1") throw new Error("it does not end with ARROW1");
  const length = new DataView(end.buffer, end.byteOffset + end.length - 10).getUint32(0, true);
  if (length > size - 26) throw new Error(`its description has ${length} bytes, more than the file`);
  if (length > mostFooterBytes) throw new Error(`its description has ${length} bytes, expected at most ${mostFooterBytes}`);
  if (length + 10 > end.length) end = new Uint8Array(await file.slice(size - length - 10, size));
  const footer = rootTable(end.slice(end.length - 10 - length, end.length - 10));
  const version = numberIn(footer, footerOf.version, "Int16");
  if (version !== V5) throw new Error(`its description is of Arrow's version ${version + 1}, expected 5`);
  if (listIn(footer, footerOf.dictionaries, BLOCK).length > 0) throw new Error("it has dictionaries");
  const { at, length: count } = listIn(footer, footerOf.batches, BLOCK);
  const { view } = footer;
  const blocks = Array.from({ length: count }, (_, i) => ({
    offset: Number(view.getBigInt64(at + BLOCK * i, true)),
    message: view.getInt32(at + BLOCK * i + 8, true),
    body: Number(view.getBigInt64(at + BLOCK * i + 16, true)),
  }));
  return { schema: tableIn(footer, footerOf.schema), blocks, start: size - 10 - length };
}

/** The key-value metadata of a schema. */
export function pairsOf(schema: Table): Record<string, string> {
  return Object.fromEntries(tablesIn(schema, schemaOf.metadata, mostPairs).map((pair) => [textIn(pair, 0), textIn(pair, 1)]));
}

/** Throws an Error where a schema is not that of these columns. */
export function checkSchema(schema: Table, columns: readonly Column[]): void {
  if (numberIn(schema, schemaOf.endianness, "Int16") !== 0) throw new Error("its numbers are not little-endian");
  if (listIn(schema, schemaOf.features, 8).length > 0) throw new Error("it is compressed, or has other features");
  const expected = fileColumns(columns).map(inWords);
  const fields = tablesIn(schema, schemaOf.fields, 2 ** 16);
  if (fields.length !== expected.length) throw new Error(`it has ${fields.length} columns, expected ${expected.length}`);
  for (const [i, field] of fields.entries()) {
    const found = foundInWords(field);
    if (found !== expected[i]) throw new Error(`its column ${i} is ${found}, not ${expected[i]} as it was written`);
  }
}

const words = { id: "int64", uint64: "uint64", int32: "int32, nullable", uint32: "uint32", text: "text, nullable" } as const;

/** A column as in "caption (text, nullable)"; tensors with their shape. */
function inWords(column: FileColumn): string {
  if (column.type !== "tensor") return `${column.name} (${words[column.type]})`;
  const { name, length, dtype, shape = [length] } = column;
  return `${name} (list of ${length} ${dtype}, ${tensorInWords(JSON.stringify({ shape }))})`;
}

const tensorInWords = (shape: string): string => `ARROW:extension:name=arrow.fixed_shape_tensor ARROW:extension:metadata=${shape}`;

/** The same of what a schema says of a field. */
function foundInWords(field: Table): string {
  const name = textIn(field, fieldOf.name).slice(0, 200);
  if (hasField(field, fieldOf.dictionary)) return `${name} (of a dictionary)`;
  const metadata = tablesIn(field, fieldOf.metadata, mostPairs).map((pair) => `${textIn(pair, 0)}=${textIn(pair, 1)}`.slice(0, 250));
  const parts = [typeInWords(field)];
  if (numberIn(field, fieldOf.nullable, "Uint8") !== 0) parts.push("nullable");
  if (metadata.length > 0) parts.push(metadata.join(" "));
  return `${name} (${parts.join(", ")})`;
}

function typeInWords(field: Table): string {
  const number = numberIn(field, fieldOf.kind, "Uint8");
  const kind = number in kinds ? kinds[number as keyof typeof kinds] : undefined;
  const children = tablesIn(field, fieldOf.children, 1);
  if (kind === undefined || children.length !== (kind === "list" ? 1 : 0)) return `type ${number} of ${children.length} others`;
  if (kind === "text") return kind;
  const type = tableIn(field, fieldOf.type);
  if (kind === "int") return `${numberIn(type, 1, "Uint8") === 0 ? "u" : ""}int${numberIn(type, 0, "Int32")}`;
  if (kind === "float") return ["float16", "float32", "float64"][numberIn(type, 0, "Int16")] ?? "float";
  const [child] = children;
  const isPlain = numberIn(child!, fieldOf.kind, "Uint8") !== 16; // no list of lists of lists
  return `list of ${numberIn(type, 0, "Int32")} ${isPlain ? typeInWords(child!) : "lists"}`;
}

/** A shard's columns as the file of each format that has one file a shard. */
import { Table, tableToIPC } from "apache-arrow";
import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { fromHalf } from "../../schemas/numbers/half.ts";
import { recordBatch } from "../../store/format/arrow.ts";
import { bytesOf, type ExportColumn, type TensorColumn, widths } from "./columns.ts";
import { npyHeader } from "./npy.ts";
import { tarOf } from "./tar.ts";

export interface ShardFormat {
  extension: string;
  encode: (columns: readonly ExportColumn[], rows: number, names: readonly string[]) => Uint8Array;
}

/** By name; `names` are those of the classes. */
export const shardFormats: Readonly<Record<string, ShardFormat>> = {
  arrow: { extension: "arrow", encode: arrowOf },
  safetensors: { extension: "safetensors", encode: safetensorsOf },
  webdataset: { extension: "tar", encode: webdatasetOf },
  "parquet-list": { extension: "parquet", encode: parquetListOf },
};

/** The names of all formats: NPY, which has one file for a whole column, and those of a file a shard. */
export const exportFormats: readonly string[] = ["npy", ...Object.keys(shardFormats)];

/** An Arrow IPC file of one record batch. Tensors are `arrow.fixed_shape_tensor`: pyarrow knows their shape. */
function arrowOf(columns: readonly ExportColumn[], rows: number): Uint8Array {
  const parts = columns.map((column) => ({ field: column.field, values: column.type === "int32" ? withNulls(column) : column.values }));
  return tableToIPC(new Table([recordBatch(parts, rows)]), "file");
}

/** Whole numbers with null where there is none. */
const withNulls = ({ values }: ExportColumn & { type: "int32" }): (number | null)[] =>
  Array.from(values, (value) => (value === -1 ? null : value));

/** A safetensors file: tensors [rows, ...] by column; the texts as JSON lists in its metadata. */
function safetensorsOf(columns: readonly ExportColumn[], rows: number): Uint8Array {
  const types = { int64: "I64", uint64: "U64", int32: "I32", float32: "F32", float16: "F16", int16: "I16" } as const;
  const metadata: Record<string, string> = { format: "np" };
  const header: Record<string, unknown> = { __metadata__: metadata };
  const numbers = columns.flatMap((column) => (column.type === "text" ? [] : [column]));
  const tensors = numbers.sort((a, b) => widths[b.type] - widths[a.type]); // the widest first keeps each aligned
  for (const { name, type, values } of columns) if (type === "text") metadata[name] = JSON.stringify(values);
  let end = 0;
  for (const column of tensors) {
    const begin = end;
    end += column.values.byteLength;
    header[column.name] = {
      dtype: types[column.type],
      shape: "shape" in column ? [rows, ...column.shape] : [rows],
      data_offsets: [begin, end],
    };
  }
  const json = Buffer.from(JSON.stringify(header));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const out = Buffer.alloc(8 + headerLength + end);
  out.writeBigUInt64LE(BigInt(headerLength));
  out.fill(" ", 8, 8 + headerLength).set(json, 8);
  let at = 8 + headerLength;
  for (const { values } of tensors) {
    out.set(bytesOf(values), at);
    at += values.byteLength;
  }
  return out;
}

/** A tar of samples: 000000017.json, .latent.npy, .noise.npy, and .cls and .txt where there is a label or caption. */
function webdatasetOf(columns: readonly ExportColumn[], rows: number, names: readonly string[]): Uint8Array {
  const files: { name: string; bytes: Uint8Array }[] = [];
  for (let row = 0; row < rows; row++) {
    const facts: Record<string, unknown> = {};
    const tensors: typeof files = [];
    for (const column of columns) {
      if ("shape" in column) {
        const length = lengthOf(column);
        const bytes = Buffer.concat([
          npyHeader(column.type, column.shape),
          bytesOf(column.values.subarray(row * length, (row + 1) * length)),
        ]);
        tensors.push({ name: `${column.name}.npy`, bytes });
      } else {
        const value = column.values[row];
        facts[column.name] = typeof value === "bigint" ? exact(value) : value === -1 ? null : value;
      }
    }
    const { id, label, caption } = facts as { id: number; label: number | null; caption: string | null };
    if (label !== null && names[label] !== undefined) facts.class = names[label];
    const key = String(id).padStart(9, "0");
    const add = (name: string, bytes: Uint8Array) => files.push({ name: `${key}.${name}`, bytes });
    add("json", Buffer.from(JSON.stringify(facts)));
    if (label !== null) add("cls", Buffer.from(String(label)));
    if (caption !== null) add("txt", Buffer.from(caption));
    for (const { name, bytes } of tensors) add(name, bytes);
  }
  return tarOf(files);
}

/** Parquet with tensors as LIST<FLOAT>, which data frames take as they are; their shape stands in the metadata. */
function parquetListOf(columns: readonly ExportColumn[], rows: number): Uint8Array {
  const schema: SchemaElement[] = [{ name: "onestep", num_children: columns.length }, ...columns.flatMap(elementsOf)];
  const shapes = columns.flatMap((column) => ("shape" in column ? [[column.name, column.shape] as const] : []));
  const bytes = new ByteWriter();
  const kvMetadata = [{ key: "shapes", value: JSON.stringify(Object.fromEntries(shapes)) }];
  const writer = new ParquetWriter({ writer: bytes, schema, codec: "UNCOMPRESSED", kvMetadata, createdBy: "onestep" });
  const rowFloats = columns.reduce((sum, column) => sum + ("shape" in column ? lengthOf(column) : 4), 0);
  const group = Math.max(1, Math.floor(2 ** 20 / rowFloats)); // 4 MB of floats
  for (let from = 0; from < rows; from += group) {
    const to = Math.min(rows, from + group);
    const columnData = columns.map((column) => ({
      name: column.name,
      data: valuesOf(column, from, to),
      ...("shape" in column && { encoding: "PLAIN" as const, statistics: false }),
    }));
    writer.write({ columnData, rowGroupSize: group });
  }
  writer.finish();
  return bytes.getBytes();
}

function elementsOf(column: ExportColumn): SchemaElement[] {
  const { name } = column;
  if (column.type === "int64") return [{ name, type: "INT64", repetition_type: "REQUIRED" }];
  if (column.type === "uint64") return [{ name, type: "INT64", converted_type: "UINT_64", repetition_type: "REQUIRED" }];
  if (column.type === "int32") return [{ name, type: "INT32", repetition_type: "OPTIONAL" }];
  if (column.type === "text") return [{ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" }];
  return [
    { name, num_children: 1, converted_type: "LIST", repetition_type: "REQUIRED" },
    { name: "list", num_children: 1, repetition_type: "REPEATED" },
    column.type === "int16"
      ? { name: "element", type: "INT32", converted_type: "INT_16", repetition_type: "REQUIRED" }
      : { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
  ];
}

function valuesOf(column: ExportColumn, from: number, to: number): unknown[] {
  if (column.type === "int32") return withNulls(column).slice(from, to);
  if (column.type === "text") return column.values.slice(from, to);
  if (!("shape" in column)) return Array.from<bigint>(column.values.subarray(from, to));
  const length = lengthOf(column);
  return Array.from({ length: to - from }, (_, i) => {
    const part = column.values.subarray((from + i) * length, (from + i + 1) * length);
    return Array.from(part instanceof Uint16Array ? fromHalf(part) : part);
  });
}

const lengthOf = ({ shape }: TensorColumn): number => shape.reduce((product, side) => product * side, 1);

/** A number where it is exact; else its digits, since JSON readers would round it. */
const exact = (value: bigint): number | string => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value));

/** The schema of a store, and rows, in Apache Arrow's own types. */
import {
  type Data,
  type DataType,
  Field as ArrowField,
  FixedSizeList,
  Float16,
  Float32,
  Int16,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Uint64,
  Utf8,
} from "apache-arrow";
import { type Field, lengthOf } from "../../schemas/columns.ts";
import { validityOf } from "./arrow-layout.ts";

/** The values of one field for several rows: of tensors all elements, row after row; halves as their 16 bits. */
export type FieldValues =
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Uint16Array
  | Int16Array
  | readonly (number | null)[]
  | readonly (string | null)[];

const elements = { Float32: () => new Float32(), Float16: () => new Float16(), Int16: () => new Int16() };
const plain = { Int64: () => new Int64(), Uint64: () => new Uint64(), Int32: () => new Int32(), Utf8: () => new Utf8() };

/** Fields as Arrow's schema. Tensors are `arrow.fixed_shape_tensor`, an extension type whose shape pyarrow and others know. */
export const arrowSchema = (fields: readonly Field[]): Schema => new Schema(fields.map(arrowField));

function arrowField(field: Field): ArrowField {
  const { name, nullable } = field;
  if (field.type !== "FixedSizeList") return new ArrowField(name, plain[field.type](), nullable);
  const type = new FixedSizeList(lengthOf(field), new ArrowField("item", elements[field.of](), true) as ArrowField<Float32>);
  const metadata = new Map([
    ["ARROW:extension:name", "arrow.fixed_shape_tensor"],
    ["ARROW:extension:metadata", JSON.stringify({ shape: field.shape })],
  ]);
  return new ArrowField(name, type, nullable, metadata);
}

/**
 * A record batch of `rows` rows. Typed arrays become its buffers as they are, without a copy; lists are encoded.
 *
 * @example
 * import { recordBatch } from "./arrow.ts";
 * const latent = { name: "latent", type: "FixedSizeList", nullable: false, of: "Float32", shape: [1, 1, 2] } as const;
 * const batch = recordBatch([{ field: latent, values: Float32Array.of(1, 2, 3, 4) }], 2);
 * assert.deepEqual([...batch.getChild("latent")!.get(1)!], [3, 4]);
 */
export function recordBatch(parts: readonly { field: Field; values: FieldValues }[], rows: number): RecordBatch {
  const schema = arrowSchema(parts.map(({ field }) => field));
  const children = parts.map(({ field, values }, i) => dataOf(schema.fields[i]!.type, field, values, rows));
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children }));
}

function dataOf(type: DataType, field: Field, values: FieldValues, length: number): Data {
  switch (field.type) {
    case "Int64":
    case "Uint64":
      return makeData({ type: type as Int64, length, data: values as BigInt64Array });
    case "Int32": {
      const numbers = Int32Array.from(values as readonly (number | null)[], (value) => value ?? 0);
      return makeData({ type: type as Int32, length, ...present(values as readonly (number | null)[]), data: numbers });
    }
    case "Utf8":
      return makeData({
        type: type as Utf8,
        length,
        ...present(values as readonly (string | null)[]),
        ...texts(values as readonly (string | null)[]),
      });
    case "FixedSizeList": {
      const elementsOf = { type: elements[field.of]() as Float32, length: length * lengthOf(field), nullCount: 0 };
      const child = makeData({ ...elementsOf, data: values as Float32Array });
      return makeData({ type: type as FixedSizeList<Float32>, length, nullCount: 0, child });
    }
  }
}

/** Which values are there. */
function present(values: readonly unknown[]): { nullCount: number; nullBitmap?: Uint8Array } {
  const nullCount = values.filter((value) => value === null).length;
  return { nullCount, ...(nullCount > 0 && { nullBitmap: validityOf(values) }) };
}

/** Texts one after the other, and where each begins. Arrow's own builder of columns takes ten times as long. */
function texts(values: readonly (string | null)[]): { valueOffsets: Int32Array; data: Uint8Array } {
  const valueOffsets = new Int32Array(values.length + 1);
  for (const [i, text] of values.entries()) valueOffsets[i + 1] = valueOffsets[i]! + Buffer.byteLength(text ?? "");
  const data = Buffer.alloc(valueOffsets.at(-1)!);
  for (const [i, text] of values.entries()) data.write(text ?? "", valueOffsets[i]!);
  return { valueOffsets, data };
}

/** The rows of a shard turned into columns, as the exports write them. */
import { type Field, fieldsOf, noiseField } from "../../schemas/columns.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { type AnyRow, valuesOfRows } from "../../store/rows/row-values.ts";

/** One column of several rows. Whole numbers have -1 where there is none; texts have null. */
export type ExportColumn = { name: string; field: Field } & (
  | { type: "int64"; values: BigInt64Array }
  | { type: "uint64"; values: BigUint64Array }
  | { type: "int32"; values: Int32Array }
  | { type: "text"; values: (string | null)[] }
  | { type: "float32"; values: Float32Array; shape: readonly number[] }
  | { type: "float16"; values: Uint16Array; shape: readonly number[] }
  | { type: "int16"; values: Int16Array; shape: readonly number[] }
);

export type TensorColumn = ExportColumn & { type: "float32" | "float16" | "int16" };

/** Bytes of a value. */
export const widths = { int64: 8, uint64: 8, int32: 4, float32: 4, float16: 2, int16: 2 } as const;

/** The fields of an export: those of the store, but the id is called so in every kind, and there always is noise. */
function exportFields(manifest: Manifest): Field[] {
  const [id, ...fields] = fieldsOf(manifest) as [Field, ...Field[]];
  if (manifest.kind === "triples" && manifest.noise === "derived") {
    const before = fields.findIndex(({ name }) => name.startsWith("state") || name === "latent");
    fields.splice(before, 0, noiseField(manifest));
  }
  return [{ ...id, name: "id" }, ...fields];
}

/**
 * id, (of triples) seed, imageIndex, embedding where stored, and noise, (of images) name, label, caption, (of a trajectory) its states,
 * and latent or tokens.
 * Noise is always there, derived where it is not stored; tensors lie row after row, each [height, width, channels].
 */
export function columnsToExport(manifest: Manifest, rows: readonly AnyRow[]): ExportColumn[] {
  return exportFields(manifest).map((field) => exported(field, rows));
}

function exported(field: Field, rows: readonly AnyRow[]): ExportColumn {
  const { name } = field;
  const values = valuesOfRows(field, rows) as never;
  switch (field.type) {
    case "Int64":
      return { field, name, type: "int64", values };
    case "Uint64":
      return { field, name, type: "uint64", values };
    case "Int32":
      return { field, name, type: "int32", values: Int32Array.from(values as (number | null)[], (value) => value ?? -1) };
    case "Utf8":
      return { field, name, type: "text", values };
    case "FixedSizeList":
      return { field, name, type: elementTypes[field.of], values, shape: field.shape };
  }
}

const elementTypes = { Float32: "float32", Float16: "float16", Int16: "int16" } as const;

/** The bytes of a column's values, little-endian. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

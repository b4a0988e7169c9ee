/** The values of one field for rows that were read, one after the other. */
import { type Field, lengthOf, type TensorField } from "../../schemas/columns.ts";
import { toHalf } from "../../schemas/numbers/half.ts";
import type { FieldValues } from "../format/arrow.ts";
import type { LatentRow, TokenRow, TripleRow } from "../format/columns.ts";
import { noiseOf } from "./triples.ts";

export type AnyRow = LatentRow | TripleRow | TokenRow;

/**
 * A field of several rows. Tensors are copied once, row after row, each [height, width, channels], in the type in which the store holds
 * them; noise that is not in the rows is derived.
 *
 * @example
 * import { valuesOfRows } from "./row-values.ts";
 * const latent = Float32Array.of(1, 2);
 * const rows = [{ index: 3, name: "3.png", label: 1, latent }, { index: 4, name: "4.png", latent }];
 * assert.deepEqual(valuesOfRows({ name: "label", type: "Int32", nullable: true }, rows), [1, null]);
 */
export function valuesOfRows(field: Field, rows: readonly AnyRow[]): FieldValues {
  const { name } = field;
  switch (field.type) {
    case "Int64":
      return BigInt64Array.from(rows, (row) => BigInt("seed" in row ? row.id : row.index));
    case "Uint64":
      return BigUint64Array.from(rows, (row) => BigInt((row as TripleRow).seed));
    case "FixedSizeList":
      return tensorsOf(field, rows);
    default:
      return rows.map((row) => valueOf<number & string>(row, name) ?? null);
  }
}

const valueOf = <T>(row: AnyRow, name: string) => (row as unknown as Record<string, T | null | undefined>)[name];

function tensorsOf(field: TensorField, rows: readonly AnyRow[]): Float32Array | Uint16Array | Int16Array {
  const length = lengthOf(field);
  const all = field.of === "Int16" ? new Int16Array(rows.length * length) : new Float32Array(rows.length * length);
  for (const [i, row] of rows.entries()) {
    const values = valueOf<Float32Array | Int16Array>(row, field.name);
    all.set(values ?? noiseOf(row as TripleRow, length), i * length); // nothing else is derived
  }
  return field.of === "Float16" ? toHalf(all as Float32Array) : all;
}

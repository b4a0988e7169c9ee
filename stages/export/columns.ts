/** The rows of a shard turned into columns, as the exports write them. */
import { toHalf } from "../../schemas/numbers/half.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { embeddingSize } from "../../schemas/embedding.ts";
import { type LatentRow, stateColumns, tensorOf, type TokenRow, type TripleRow } from "../../store/columns.ts";
import { noiseOf } from "../../store/triples.ts";

/** One column of several rows. Whole numbers have -1 where there is none; texts have null. */
export type ExportColumn =
  | { name: string; type: "int64"; values: BigInt64Array }
  | { name: string; type: "uint64"; values: BigUint64Array }
  | { name: string; type: "int32"; values: Int32Array }
  | { name: string; type: "text"; values: (string | null)[] }
  | { name: string; type: "float32"; values: Float32Array; shape: readonly number[] }
  | { name: string; type: "float16"; values: Uint16Array; shape: readonly number[] }
  | { name: string; type: "int16"; values: Int16Array; shape: readonly number[] };

export type TensorColumn = ExportColumn & { type: "float32" | "float16" | "int16" };

/** Bytes of a value. */
export const widths = { int64: 8, uint64: 8, int32: 4, float32: 4, float16: 2, int16: 2 } as const;

/**
 * id, (of triples) seed, imageIndex, embedding where stored, and noise, (of images) name, label, caption, (of a trajectory) its states,
 * and latent or tokens.
 * Noise is always there, derived where it is not stored; tensors lie row after row, each [height, width, channels].
 */
export function columnsToExport(manifest: Manifest, rows: readonly AnyRow[]): ExportColumn[] {
  const { kind, shape } = manifest;
  const length = shape[0] * shape[1] * shape[2];
  const int32 = (name: string, of: (row: AnyRow) => number | null | undefined): ExportColumn => ({
    name,
    type: "int32",
    values: Int32Array.from(rows, (row) => of(row) ?? -1),
  });
  const tensor = (of: (row: AnyRow) => Float32Array): Float32Array => {
    const values = new Float32Array(rows.length * length);
    for (const [i, row] of rows.entries()) values.set(of(row), i * length);
    return values;
  };
  const asStored = (name: string, values: Float32Array): ExportColumn => tensorColumn(name, values, manifest);
  const latent = asStored(kind === "tokens" ? "tokens" : "latent", tensor(tensorOf));
  const id: ExportColumn = {
    name: "id",
    type: "int64",
    values: BigInt64Array.from(rows, (row) => BigInt("seed" in row ? row.id : row.index)),
  };
  const condition: ExportColumn[] = [
    int32("label", ({ label }) => label),
    { name: "caption", type: "text", values: rows.map(({ caption }) => caption ?? null) },
  ];
  if (kind !== "triples") {
    return [id, { name: "name", type: "text", values: (rows as (LatentRow | TokenRow)[]).map(({ name }) => name) }, ...condition, latent];
  }
  const triples = rows as TripleRow[];
  return [
    id,
    { name: "seed", type: "uint64", values: BigUint64Array.from(triples, ({ seed }) => BigInt(seed)) },
    int32("imageIndex", (row) => (row as TripleRow).imageIndex),
    ...condition,
    ...embeddingColumn(manifest, triples),
    {
      name: "noise",
      type: "float32",
      values: tensor((row) => (row as TripleRow).noise ?? noiseOf(row as TripleRow, length)),
      shape,
    },
    ...stateColumns(manifest).map((name) =>
      asStored(
        name,
        tensor((row) => (row as TripleRow)[name] as Float32Array),
      ),
    ),
    latent,
  ];
}

/** The captions' embeddings, where the store keeps them: a row of numbers each, in the type of the latents. */
function embeddingColumn(manifest: Manifest, rows: readonly TripleRow[]): ExportColumn[] {
  if (manifest.kind !== "triples" || !manifest.embedding) return [];
  const size = embeddingSize(manifest.embedding);
  const values = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) values.set(row.embedding as Float32Array, i * size);
  return [tensorColumn("embedding", values, { dtype: manifest.dtype, shape: [size] })];
}

type AnyRow = LatentRow | TripleRow | TokenRow;

/** A tensor in the type in which the store holds it; of tokens the shape is [height, width]. */
function tensorColumn(
  name: string,
  values: Float32Array,
  { dtype, shape }: { dtype: Manifest["dtype"]; shape: readonly number[] },
): ExportColumn {
  if (dtype === "int16") return { name, type: "int16", values: Int16Array.from(values), shape: shape.slice(0, 2) };
  return dtype === "float16" ? { name, type: "float16", values: toHalf(values), shape } : { name, type: "float32", values, shape };
}

/** The bytes of a column's values, little-endian. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

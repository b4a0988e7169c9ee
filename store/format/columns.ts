import { type Field, fieldsOf, lengthOf, type StateColumn, stateColumn, stateColumns } from "../../schemas/columns.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import type { Column } from "./stored-rows.ts";

/** A row of a latent store: one encoded image. */
export type LatentRow = {
  index: number; // of the entry in the listing of the images
  name: string;
  label?: number | null;
  caption?: string | null;
  latent: Float32Array; // [height, width, channels], as the encoder gave it
};

/** A row of a triple store: what the teacher makes of one noise under one condition. */
export type TripleRow = {
  id: number;
  seed: bigint | number; // 64 bits; noise = normals({ seed, stream: "noise", offset: id * length, length })
  imageIndex?: number | null; // the latent whose label and caption these are
  label?: number | null;
  caption?: string | null;
  embedding?: Float32Array; // of the caption, or of the negative prompt where there is none; where the store keeps them
  noise?: Float32Array; // unit normal [height, width, channels]; may be left out on writing, always there on reading
  latent: Float32Array; // [height, width, channels], in the teacher's scale
  [state: StateColumn]: Float32Array | undefined; // as the latent: the teacher's state before that solver step
};

export { type StateColumn, stateColumn, stateColumns };

/** A row of a token store: one image as whole numbers. */
export type TokenRow = {
  index: number; // that of the image in the latent store, and in the listing
  name: string;
  label?: number | null;
  caption?: string | null;
  tokens: Int16Array; // [height, width]
};

/**
 * What a row is about: the latent of an image or triple, or the tokens of an image as numbers.
 *
 * @example
 * import { tensorOf } from "./columns.ts";
 * assert.deepEqual(tensorOf({ index: 0, name: "0.png", tokens: Int16Array.of(3, 1) }), Float32Array.of(3, 1));
 */
export function tensorOf(row: LatentRow | TripleRow | TokenRow): Float32Array {
  return "tokens" in row ? Float32Array.from(row.tokens) : row.latent;
}

/** The columns of a store as shards have them; the first is the id. */
export const columnsOf = (manifest: Manifest): Column[] => fieldsOf(manifest).map(columnOf);

const dtypes = { Float32: "float32", Float16: "float16", Int16: "int16" } as const;

function columnOf(field: Field): Column {
  const { name } = field;
  switch (field.type) {
    case "Int64":
      return { name, type: "id" };
    case "Uint64":
      return { name, type: "uint64" };
    case "Int32":
      return { name, type: "int32" };
    case "Utf8":
      return { name, type: "text" };
    case "FixedSizeList":
      return { name, type: "tensor", shape: field.shape, length: lengthOf(field), dtype: dtypes[field.of] };
  }
}

const elements = { float32: "Float32", float16: "Float16", int16: "Int16" } as const;

/** The field that a column is made of. */
export function fieldOf(column: Column): Field {
  const { name } = column;
  switch (column.type) {
    case "id":
      return { name, type: "Int64", nullable: false };
    case "uint64":
      return { name, type: "Uint64", nullable: false };
    case "int32":
      return { name, type: "Int32", nullable: true };
    case "text":
      return { name, type: "Utf8", nullable: true };
    case "tensor":
      return { name, type: "FixedSizeList", nullable: false, of: elements[column.dtype], shape: column.shape ?? [column.length] };
  }
}

/**
 * The columns of each kind of store, in the types of Apache Arrow: the one place that says what a row is made of. The layout of
 * shards (store/format/columns.ts, store/format/arrow-write.ts), the record batches (store/format/arrow.ts) and the exports
 * (stages/export/columns.ts) follow from it, and schemas/README.md has it as a table, which a test compares.
 */
import { embeddingSize } from "./embedding.ts";
import type { Manifest } from "./manifest.ts";

/** Elements of a tensor. */
export type TensorType = "Float32" | "Float16" | "Int16";

/** A field of Arrow's: a number or text, or a tensor as a list of fixed size (extension type `arrow.fixed_shape_tensor`). */
export type Field =
  | { name: string; type: "Int64" | "Uint64"; nullable: false }
  | { name: string; type: "Int32" | "Utf8"; nullable: true }
  | { name: string; type: "FixedSizeList"; nullable: false; of: TensorType; shape: readonly number[] };

export type TensorField = Field & { type: "FixedSizeList" };

/** How many elements a tensor of one row has. */
export const lengthOf = ({ shape }: Pick<TensorField, "shape">): number => shape.reduce((product, side) => product * side, 1);

export type StateColumn = `state${number}`;

/**
 * The column of the teacher's state before a solver step. There is none of step 0: that state is the noise times its sigma.
 */
export const stateColumn = (step: number): StateColumn => `state${step}`;

/** The columns of the states that a store keeps, in the order of their steps; none of a store without a trajectory. */
export function stateColumns(manifest: Manifest): StateColumn[] {
  const { steps = [] } = (manifest.kind === "triples" && manifest.trajectory) || {};
  return steps.filter((step) => step > 0).map(stateColumn);
}

const types = { float32: "Float32", float16: "Float16", int16: "Int16" } as const;
const text = (name: string): Field => ({ name, type: "Utf8", nullable: true });
const whole = (name: string): Field => ({ name, type: "Int32", nullable: true });
const id = (name: string): Field => ({ name, type: "Int64", nullable: false });
const tensor = (name: string, of: TensorType, shape: readonly number[]): Field => ({
  name,
  type: "FixedSizeList",
  nullable: false,
  of,
  shape,
});

/** The noise of a triple: unit normals, float32 whatever the latents are. */
export const noiseField = ({ shape }: Pick<Manifest, "shape">): Field => tensor("noise", "Float32", shape);

/** The fields of a store's rows in their order; the first is the id. A tensor's shape is that of one row. */
export function fieldsOf(manifest: Manifest): Field[] {
  const { kind, shape, dtype } = manifest;
  const condition = [whole("label"), text("caption")];
  if (kind !== "triples") {
    const what = kind === "tokens" ? tensor("tokens", "Int16", shape.slice(0, 2)) : tensor("latent", types[dtype], shape);
    return [id("index"), text("name"), ...condition, what];
  }
  const { embedding, noise } = manifest;
  return [
    id("id"),
    { name: "seed", type: "Uint64", nullable: false },
    whole("imageIndex"),
    ...condition,
    ...(embedding ? [tensor("embedding", types[dtype], [embeddingSize(embedding)])] : []),
    ...(noise === "stored" ? [noiseField(manifest)] : []),
    ...stateColumns(manifest).map((name) => tensor(name, types[dtype], shape)),
    tensor("latent", types[dtype], shape),
  ];
}

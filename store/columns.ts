import { embeddingSize } from "../schemas/embedding.ts";
import type { Manifest } from "../schemas/manifest.ts";
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

export type StateColumn = `state${number}`;

/**
 * The column of the teacher's state before a solver step. There is none of step 0: that state is the noise times its sigma.
 *
 * @example
 * import { stateColumn } from "onestep/store/columns";
 * assert.equal(stateColumn(8), "state8");
 */
export const stateColumn = (step: number): StateColumn => `state${step}`;

/**
 * The columns of the states that a store keeps, in the order of their steps; none of a store without a trajectory.
 *
 * @example
 * import { stateColumns } from "onestep/store/columns";
 * const trajectory = { steps: [0, 4, 8], sigmas: [80, 17, 2.5] };
 * assert.deepEqual(stateColumns({ ...triples.manifest, trajectory }), ["state4", "state8"]);
 */
export function stateColumns(manifest: Manifest): StateColumn[] {
  const { steps = [] } = (manifest.kind === "triples" && manifest.trajectory) || {};
  return steps.filter((step) => step > 0).map(stateColumn);
}

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
 * import { tensorOf } from "onestep/store/columns";
 * assert.deepEqual(tensorOf({ index: 0, name: "0.png", tokens: Int16Array.of(3, 1) }), Float32Array.of(3, 1));
 */
export function tensorOf(row: LatentRow | TripleRow | TokenRow): Float32Array {
  return "tokens" in row ? Float32Array.from(row.tokens) : row.latent;
}

/** The columns of a store; the first is the id. */
export function columnsOf(manifest: Manifest): Column[] {
  const { shape, dtype } = manifest;
  const length = shape[0] * shape[1] * shape[2];
  const condition: Column[] = [
    { name: "label", type: "int32" },
    { name: "caption", type: "text" },
  ];
  if (manifest.kind === "tokens") {
    return [{ name: "index", type: "id" }, { name: "name", type: "text" }, ...condition, { name: "tokens", type: "tensor", length, dtype }];
  }
  const latent: Column = { name: "latent", type: "tensor", length, dtype };
  if (manifest.kind === "latents") {
    return [{ name: "index", type: "id" }, { name: "name", type: "text" }, ...condition, latent];
  }
  const { embedding } = manifest;
  const embedded: Column[] = embedding ? [{ name: "embedding", type: "tensor", length: embeddingSize(embedding), dtype }] : [];
  const noise: Column[] = manifest.noise === "stored" ? [{ name: "noise", type: "tensor", length, dtype: "float32" }] : [];
  const states = stateColumns(manifest).map((name): Column => ({ name, type: "tensor", length, dtype }));
  return [
    { name: "id", type: "id" },
    { name: "seed", type: "uint64" },
    { name: "imageIndex", type: "int32" },
    ...condition,
    ...embedded,
    ...noise,
    ...states,
    latent,
  ];
}

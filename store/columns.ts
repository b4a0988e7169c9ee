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
  noise?: Float32Array; // unit normal [height, width, channels]; may be left out on writing, always there on reading
  latent: Float32Array; // [height, width, channels], in the teacher's scale
};

/** The columns of a store; the first is the id. */
export function columnsOf({ kind, shape, dtype, ...rest }: Manifest): Column[] {
  const length = shape[0] * shape[1] * shape[2];
  const condition: Column[] = [
    { name: "label", type: "int32" },
    { name: "caption", type: "text" },
  ];
  const latent: Column = { name: "latent", type: "tensor", length, dtype };
  if (kind === "latents") {
    return [{ name: "index", type: "id" }, { name: "name", type: "text" }, ...condition, latent];
  }
  const stored = "noise" in rest && rest.noise === "stored";
  const noise: Column[] = stored ? [{ name: "noise", type: "tensor", length, dtype: "float32" }] : [];
  return [
    { name: "id", type: "id" },
    { name: "seed", type: "uint64" },
    { name: "imageIndex", type: "int32" },
    ...condition,
    ...noise,
    latent,
  ];
}

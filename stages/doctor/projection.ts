import { embeddingSize, type TextShape } from "../../schemas/embedding.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";

/** Id, seed, checksums, label and a caption, with what Parquet adds to a row. */
const overhead = 160;

/**
 * Bytes that a store of triples will take: count * (latent + stored embedding + stored states + stored noise + overhead), for latents of
 * `shape` [height, width, channels]. Noise is always float32, a state as the latent; that before step 0 is the noise.
 */
export function projectedBytes(
  { count, noise, dtype, trajectory = [] }: Pick<SimulateSettings, "count" | "noise" | "dtype" | "trajectory">,
  shape: readonly number[],
  embedding?: TextShape,
): number {
  const values = shape.reduce((product, side) => product * side, 1);
  const embedded = embedding ? embeddingSize(embedding) : 0;
  const tensors = 1 + trajectory.filter((step) => step > 0).length;
  return count * ((tensors * values + embedded) * (dtype === "float16" ? 2 : 4) + (noise === "stored" ? values * 4 : 0) + overhead);
}

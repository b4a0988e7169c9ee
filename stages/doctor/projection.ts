import type { SimulateSettings } from "../../schemas/settings.ts";

/** Id, seed, checksums, label and a caption, with what Parquet adds to a row. */
const overhead = 160;

/**
 * Bytes that a store of triples will take: count * (latent + stored noise + overhead), for latents of
 * `shape` [height, width, channels]. Noise is always float32.
 */
export function projectedBytes(
  { count, noise, dtype }: Pick<SimulateSettings, "count" | "noise" | "dtype">,
  shape: readonly number[],
): number {
  const values = shape.reduce((product, side) => product * side, 1);
  const latent = values * (dtype === "float16" ? 2 : 4);
  return count * (latent + (noise === "stored" ? values * 4 : 0) + overhead);
}

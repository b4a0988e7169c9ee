/** Weights of one network written as a safetensors file: what other tools load. Reading them: models/weights/load.ts. */
import { safetensorsPieces, sourcesOf } from "../../models/weights/pieces.ts";
import type { Weights } from "../../engine/weights.ts";
import { filesAt } from "../../store/places/files.ts";

/** Writes weights to a file that appears whole or not at all; F16 halves its size. */
export async function saveWeights(options: {
  path: string;
  weights: Weights;
  metadata?: Record<string, string>;
  dtype?: "F32" | "F16";
}): Promise<void> {
  const { path, weights, metadata, dtype } = options;
  await filesAt(path).replace(path, safetensorsPieces({ tensors: sourcesOf(weights, dtype), metadata }));
}

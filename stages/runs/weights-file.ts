/** Weights of one network as a safetensors file: what other tools load. */
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import type { Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { writeAtomic } from "../../store/atomic.ts";

/** Writes weights to a file that appears whole or not at all; F16 halves its size. */
export async function saveWeights(options: {
  path: string;
  weights: Weights;
  metadata?: Record<string, string>;
  dtype?: "F32" | "F16";
}): Promise<void> {
  const { path, weights, metadata, dtype } = options;
  await writeAtomic(path, encodeSafetensors({ tensors: weights, metadata, dtype }));
}

/** Reads weights of any safetensors dtype as float32. Throws a Failure when the file is missing, torn or malformed. */
export async function loadWeights(path: string): Promise<{ weights: Weights; metadata: Record<string, string> }> {
  try {
    const { tensors, metadata } = await readSafetensors(path);
    const weights = Object.fromEntries(Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape, data }]));
    return { weights, metadata };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : message;
    throw new Failure(`Cannot load weights from ${path}: ${reason}. Check the path, or fetch the file again.`, {
      cause: error,
    });
  }
}

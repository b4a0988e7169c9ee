/** Weights of one network as a safetensors file: what other tools load. */
import { openSafetensors, type OpenSafetensors } from "../../models/weights/open.ts";
import { safetensorsPieces, sourcesOf } from "../../models/weights/pieces.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
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
  await writeAtomic(path, safetensorsPieces({ tensors: sourcesOf(weights, dtype), metadata }));
}

/** Reads weights of any safetensors dtype as float32. Throws a Failure when the file is missing, torn or malformed. */
export async function loadWeights(path: string): Promise<{ weights: Weights; metadata: Record<string, string> }> {
  const { tensors, metadata } = await readSafetensors(path).catch((error) => refuse(path, error));
  const weights = Object.fromEntries(Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape, data }]));
  return { weights, metadata };
}

/**
 * Opens weights without reading them (see openSafetensors): frozen weights for `engine.constants`, of any size. `path` may be
 * that of an index of several files. Throws a Failure when a file is missing, torn or malformed.
 */
export async function openWeights(path: string): Promise<OpenSafetensors> {
  return openSafetensors(path).catch((error) => refuse(path, error));
}

function refuse(path: string, error: NodeJS.ErrnoException): never {
  const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
  throw new Failure(`Cannot load weights from ${path}: ${reason}. Check the path, or fetch the file again.`, { cause: error });
}

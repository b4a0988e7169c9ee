/**
 * Where a program's frozen weights lie. Small sets are baked into the model, where ONNX Runtime folds and packs them. Of
 * large sets only the small tensors are: those in memory are inputs that all programs share, and those in a file stay
 * there, mapped into memory by ONNX Runtime, so that all sessions share the pages and no copy is made.
 */
import type { Device } from "./session.ts";
import type { ConstantSet, Slot } from "./variables.ts";
import { countWeights, elements, type FileTensor, isInFile } from "./weights.ts";

/** A frozen tensor's place: a constant of the model, an input of it, or an initialiser that lies in its file. */
export type Placed =
  | { place: "baked"; data: Float32Array }
  | { place: "input"; slot: Slot; unfolded: boolean }
  | { place: "file"; tensor: FileTensor & { dtype: MappedDtype }; unfolded: true };

/** Elements of files that ONNX Runtime takes as they are; all become float32 in the program. */
export type MappedDtype = "F32" | "F16" | "BF16";
const MAPPED: ReadonlySet<string> = new Set<MappedDtype>(["F32", "F16", "BF16"]);

/**
 * Sets of fewer bytes, as float32, are baked. 128 MiB lets the networks that measure features stay so (Inception has 95
 * MB), whose convolutions gain from constant kernels.
 */
export const BAKED_BYTES = 128 * 2 ** 20;

/** Tensors of fewer elements are baked always: their arithmetic is folded. */
const LEAST_ELEMENTS = 1024;

export interface Placing {
  device: Device;
  /** The bytes, as float32, from which a set is large. */
  bakedBytes: number;
}

/** Places every tensor of a set, and reads those that are baked from their files. */
export async function placeFrozen(set: ConstantSet, { device, bakedBytes }: Placing): Promise<Record<string, Placed>> {
  // WebGPU's tensors lie in buffers of their own, which programs share whatever their size.
  const isLarge = device === "webgpu" || 4 * countWeights(set.weights) >= bakedBytes;
  const placed: Record<string, Placed> = {};
  for (const [key, tensor] of Object.entries(set.weights)) {
    const inFile = isInFile(tensor);
    const stays = isLarge && elements(tensor.shape) >= LEAST_ELEMENTS;
    if (stays && inFile && device !== "webgpu" && MAPPED.has(tensor.dtype)) {
      placed[key] = { place: "file", tensor: tensor as FileTensor & { dtype: MappedDtype }, unfolded: true };
    } else if (stays && device !== "cuda") {
      placed[key] = {
        place: "input",
        slot: { shape: tensor.shape, initial: inFile ? tensor.read : tensor.data },
        unfolded: device !== "webgpu",
      };
    } else {
      // On CUDA too: inputs that JavaScript holds are copied to the GPU in each run.
      placed[key] = { place: "baked", data: inFile ? await tensor.read() : tensor.data };
    }
  }
  return placed;
}

/** What the forms of this folder use of tfjs-node's backend. */
import type { Tensor } from "../tfjs.ts";

/** What tfjs-node's backend has beside what every backend has. */
export interface TensorflowBackend {
  isUsingGpuDevice: boolean;
  /** Whether convolutions of volumes may be dilated in depth. */
  isGPUPackage: boolean;
  numDataIds: () => number;
  getInputTensorIds: (tensors: Tensor[]) => number[];
  createOutputTensor: (made: Made) => Tensor;
  /** The addon: its functions, and the numbers that stand for types. */
  binding: Record<`TF_${string}`, number> & {
    executeOp: (name: string, attributes: object[], inputs: number[], outputs: number) => Made[];
    deleteTensor: (id: number) => void;
  };
}

/** What the addon says of a tensor that an operation made. */
export interface Made {
  id: number;
}

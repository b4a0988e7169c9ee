/**
 * The one place TensorFlow.js is loaded. Its main entry is the only build of 4.22 that loads under Node with all gradients
 * registered; the advice it prints about tfjs-node does not apply here, so `IS_TEST` silences it.
 */
import { createRequire } from "node:module";
import type * as tensorflow from "@tensorflow/tfjs";

/** Required rather than imported: for a module's import Node reads all of it twice, which takes every worker 0.2 to 0.4 s more. */
export const tf = createRequire(import.meta.url)("@tensorflow/tfjs") as typeof tensorflow;
export type {
  DataType,
  GradSaveFunc,
  KernelBackend,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  Tensor5D,
  TensorInfo,
} from "@tensorflow/tfjs";

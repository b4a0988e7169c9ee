/**
 * `import { ... } from "onestep/engine"`: TensorFlow.js programs compiled to ONNX Runtime, on their own; engine/README.md is their guide.
 * Operations are those of `tf`, which is the instance that programs are traced with: another copy of TensorFlow.js is not.
 */
export { type Compute, type ComputeError, type ComputeOptions, startCompute, transferables } from "../engine/compute.ts";
export { createEngine, type EagerDevice, type Engine, type EngineOptions } from "../engine/engine.ts";
export { asPiece, endBlock } from "../engine/marks.ts";
export { layerNorm, stopGradient, swish } from "../engine/ops.ts";
export type { InputArray, Program, ProgramSpec, Sets, Tensors } from "../engine/program.ts";
export type { Device } from "../engine/session.ts";
export { type Scalar, type Tensor, tf } from "../engine/tfjs.ts";
export type { ConstantSet, VariableSet } from "../engine/variables.ts";
export { copyWeights, countWeights, type FileTensor, type FrozenWeights, hashWeights, type Weights, zerosLike } from "../engine/weights.ts";
export { loadWeights, openWeights } from "../models/weights/load.ts";

/**
 * `import { ... } from "onestep/methods"`: what a method of one's own is written with. A method is a file that exports `method`, handed to
 * `train` by its URL, since each training runs in a worker that loads the file again. docs/ADD-A-METHOD.md explains the interface.
 */
export { type Scalar, type Tensor, tf } from "../engine/tfjs.ts";
export type { Weights } from "../engine/weights.ts";
export type { Batch, Job, Kit, Look, Losses, Method, Needs, Part, Phase, Program, Run, Subject, Update } from "../methods/method.ts";
export { methods } from "../methods/registry.ts";
export { conditionInputs, type DenoiserSpec } from "../models/denoiser.ts";
export { generate } from "../models/diffusion/one-step.ts";
export type { Parameters } from "../models/layers.ts";
export { pseudoHuber, squaredError } from "../models/losses/difference.ts";
export { addMethod } from "../recipes/settings.ts";
export type { Figures } from "../schemas/figures.ts";
export { count, fraction, rate, weight } from "../schemas/settings.ts";
export * as z from "zod";

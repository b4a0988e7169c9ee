/** The loss of YOSO's quick adaptation (diffusion/adaptation.ts): a student's v against that of its teacher's clean prediction. */
import type { ProgramSpec } from "../../engine/program.ts";
import { stopGradient } from "../../engine/ops.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { type Adaptation, type AdaptationLevel, adaptationLevel, velocityOf } from "../diffusion/adaptation.ts";
import { tensors } from "../diffusion/arithmetic.ts";
import { conditionsOf } from "../diffusion/levels.ts";
import { predictedFrom, statesInputs, statesOf } from "../diffusion/states.ts";
import { type Parameters, spread } from "../layers.ts";
import { squaredError } from "./difference.ts";

/** Declarations of a program of this loss: the teacher's states, the student's own z, and numbers a row. */
export function velocityInputs(spec: DenoiserSpec, batch: number): ProgramSpec["inputs"] {
  const perRow = { shape: [batch] };
  const own = { z: { shape: [batch, ...spec.shape] }, time: perRow, perSigma: perRow, alpha: perRow, s: perRow };
  return { ...statesInputs(["teacher"], spec, batch), ...own, ...conditionInputs(spec, batch) };
}

/** Those inputs but for conditions, of clean latents and unit noise [rows * h * w * c] at `times` in [0, 1], one a row. */
export function velocityStates(options: {
  teacher: DenoiserSpec["diffusion"];
  schedule: Adaptation;
  times: ArrayLike<number>;
  clean: Float32Array;
  noise: Float32Array;
}): Record<string, Float32Array> {
  const { teacher, schedule, times, clean, noise } = options;
  const rows = Array.from(times, (time) => adaptationLevel(teacher, schedule, time));
  const size = clean.length / rows.length;
  const column = (of: (row: AdaptationLevel) => number): Float32Array => Float32Array.from(rows, of);
  const each = (of: (row: AdaptationLevel, value: number, n: number) => number): Float32Array =>
    clean.map((value, i) => of(rows[Math.floor(i / size)] as AdaptationLevel, value, noise[i] as number));
  return {
    ...statesOf(
      "teacher",
      each(({ sigma }, value, n) => value + sigma * n),
      rows,
    ),
    z: each(({ alpha, s }, value, n) => alpha * value + s * n),
    time: column(({ time }) => time),
    perSigma: column(({ sigma }) => 1 / sigma),
    alpha: column(({ alpha }) => alpha),
    s: column(({ s }) => s),
  };
}

/** Mean squared error of the student's network F against v, a scalar. No gradient flows to the teacher. */
export function velocityLoss(options: {
  student: { spec: DenoiserSpec; parameters: Parameters };
  teacher: { spec: DenoiserSpec; parameters: Parameters };
  inputs: Record<string, Tensor>;
}): Tensor {
  const { student, teacher, inputs } = options;
  const { spec, parameters } = student;
  const clean = predictedFrom("teacher", { ...teacher, inputs });
  const [perSigma, alpha, s] = ["perSigma", "alpha", "s"].map((name) => spread(inputs[name] as Tensor)) as [Tensor, Tensor, Tensor];
  const target = velocityOf({ x: inputs["teacher.x"] as Tensor, clean, perSigma, alpha, s }, tensors);
  const condition = embedConditions(spec, parameters, conditionsOf(spec, inputs));
  const v = applyNetwork(spec, parameters, { x: inputs.z as Tensor, noiseLevel: inputs.time as Tensor, condition });
  return squaredError(v, stopGradient(target));
}

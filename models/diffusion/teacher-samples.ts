/** A teacher's samples inside a loss: what a discriminator takes for real where there are neither images nor triples. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import type { Parameters } from "../layers.ts";
import { evenShares } from "./few-steps.ts";
import { createParameterisation } from "./parameterisation.ts";
import { levelAt } from "./schedule.ts";
import { teacherSteps } from "./teacher-step.ts";

/**
 * Unit noise [b, h, w, c] to samples of the frozen teacher, [b, h, w, c], at its lowest noise level: by DPM-Solver++(2M) in `steps`
 * even steps of its time, one call each. `given` are the condition inputs, `scale` the guidance scale. No gradient flows.
 */
export function teacherSamples(options: {
  spec: DenoiserSpec;
  parameters: Parameters;
  given: Record<string, Tensor>;
  scale?: number;
  noise: Tensor;
  steps: number;
}): Tensor {
  const { noise, steps, ...teacher } = options;
  const parameterisation = createParameterisation(teacher.spec.diffusion);
  const rows = noise.shape[0] as number;
  return teacherSteps({
    ...teacher,
    solver: "dpm++2m",
    x: tf.mul(noise, parameterisation.sigmaMax),
    levels: [...evenShares(steps), 0].map(levelAt(parameterisation)).map((sigma) => tf.fill([rows], sigma) as Tensor),
  });
}

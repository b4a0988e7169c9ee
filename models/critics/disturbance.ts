/** The noise under which a discriminator sees latents: drawn on the host, declared and read in programs. */
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import type { ProgramSpec } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import { createParameterisation, noiseLevels } from "../diffusion/parameterisation.ts";
import type { Disturbance } from "./discriminator.ts";

/** Lowest and highest level of the noise, over sigmaData; [0, 0]: none. */
export type DisturbanceRange = readonly [number, number];

const DISTURBANCE = "disturbance.";

/** The inputs that {@link disturbances} draws for so many rows; none where the range is [0, 0]. */
export function disturbanceInputs([, most]: DisturbanceRange, { shape }: DenoiserSpec, rows: number): ProgramSpec["inputs"] {
  if (most === 0) return {};
  const inputs = { noise: { shape: [rows, ...shape] }, sigma: { shape: [rows] }, cIn: { shape: [rows] }, cNoise: { shape: [rows] } };
  return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [DISTURBANCE + name, input]));
}

/** Noise and its levels for a step's batch, ln sigma uniform: a pure function of (seed, step). */
export function disturbances(options: {
  range: DisturbanceRange;
  spec: DenoiserSpec;
  batch: number;
  seed: number;
  step: number;
}): Record<string, Float32Array> {
  const { range, spec, batch, seed, step } = options;
  const [least, most] = range;
  if (most === 0) return {};
  const length = batch * spec.shape[0] * spec.shape[1] * spec.shape[2];
  const draws = uniforms({ seed, stream: "disturbance/sigma", offset: step * batch, length: batch });
  const sigmas = Array.from(draws, (u) => spec.diffusion.sigmaData * least ** (1 - u) * most ** u);
  const { sigma, cIn, cNoise } = noiseLevels(createParameterisation(spec.diffusion), sigmas);
  const noise = normals({ seed, stream: "disturbance/noise", offset: step * length, length });
  return Object.fromEntries(Object.entries({ noise, sigma, cIn, cNoise }).map(([name, values]) => [DISTURBANCE + name, values]));
}

/** The disturbance among a program's inputs, and the others. */
export function disturbanceOf(inputs: Record<string, Tensor>): { disturbance?: Disturbance; others: Record<string, Tensor> } {
  const [parts, others] = inputsApart(inputs, DISTURBANCE);
  return { others, ...(Object.keys(parts).length > 0 && { disturbance: parts as unknown as Disturbance }) };
}

/** Inputs whose name begins with `prefix`, by the rest of it, and the others. */
export function inputsApart(
  inputs: Record<string, Tensor>,
  prefix: string,
): [parts: Record<string, Tensor>, others: Record<string, Tensor>] {
  const [parts, others]: [Record<string, Tensor>, Record<string, Tensor>] = [{}, {}];
  for (const [name, tensor] of Object.entries(inputs)) {
    if (name.startsWith(prefix)) parts[name.slice(prefix.length)] = tensor;
    else others[name] = tensor;
  }
  return [parts, others];
}

/** The noise under which a discriminator sees latents: drawn on the host, declared and read in programs. */
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import type { ProgramSpec } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import { createParameterisation, noiseLevels, type Parameterisation } from "../diffusion/parameterisation.ts";
import type { Disturbance } from "./discriminator.ts";

/** Lowest and highest level of the noise, over sigmaData, ln sigma uniform between them; [0, 0]: none. */
export type DisturbanceRange = readonly [number, number];

/**
 * LADD's levels: t = sigmoid(mean + std n), n normal, on the straight line between data of unit deviation and noise, so that
 * sigma = sigmaData t / (1 - t) = sigmaData exp(mean + std n), within the levels that the teacher was trained on.
 */
export interface LogitNormal {
  mean: number;
  std: number;
}

/** Levels of the noise under which a discriminator sees latents. */
export type DisturbanceLevels = DisturbanceRange | LogitNormal;

const isRange = (levels: DisturbanceLevels): levels is DisturbanceRange => Array.isArray(levels);

/** Whether latents are shown clean. */
export const isClean = (levels: DisturbanceLevels): boolean => isRange(levels) && levels[1] === 0;

const DISTURBANCE = "disturbance.";

/** The inputs that {@link disturbances} draws for so many rows; none where the range is [0, 0]. */
export function disturbanceInputs(levels: DisturbanceLevels, { shape }: DenoiserSpec, rows: number): ProgramSpec["inputs"] {
  if (isClean(levels)) return {};
  const inputs = { noise: { shape: [rows, ...shape] }, sigma: { shape: [rows] }, cIn: { shape: [rows] }, cNoise: { shape: [rows] } };
  return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [DISTURBANCE + name, input]));
}

/**
 * Noise and its levels for a step's batch: a pure function of (seed, stream, step). Sides of a game that are to be disturbed
 * apart from each other take streams of their own; one disturbance serves any number of latents otherwise.
 */
export function disturbances(options: {
  range: DisturbanceLevels;
  spec: DenoiserSpec;
  batch: number;
  seed: number;
  step: number;
  stream?: string;
}): Record<string, Float32Array> {
  const { range, spec, batch, seed, step, stream = "disturbance" } = options;
  if (isClean(range)) return {};
  const length = batch * spec.shape[0] * spec.shape[1] * spec.shape[2];
  const parameterisation = createParameterisation(spec.diffusion);
  const draw = { seed, stream: `${stream}/sigma`, offset: step * batch, length: batch };
  const { sigma, cIn, cNoise } = noiseLevels(parameterisation, sigmasOf(range, spec.diffusion.sigmaData, parameterisation, draw));
  const noise = normals({ seed, stream: `${stream}/noise`, offset: step * length, length });
  return Object.fromEntries(Object.entries({ noise, sigma, cIn, cNoise }).map(([name, values]) => [DISTURBANCE + name, values]));
}

function sigmasOf(
  levels: DisturbanceLevels,
  sigmaData: number,
  { sigmaMin, sigmaMax }: Parameterisation,
  draw: Parameters<typeof uniforms>[0],
): number[] {
  if (isRange(levels)) {
    const [least, most] = levels;
    return Array.from(uniforms(draw), (u) => sigmaData * least ** (1 - u) * most ** u);
  }
  const { mean, std } = levels;
  return Array.from(normals(draw), (n) => Math.min(sigmaMax, Math.max(sigmaMin, sigmaData * Math.exp(mean + std * n))));
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

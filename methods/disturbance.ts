/** The noise under which the discriminator sees latents: drawn on the host, declared and read in programs. */
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import type { ProgramSpec } from "../engine/program.ts";
import type { Tensor } from "../engine/tfjs.ts";
import type { DenoiserSpec } from "../models/denoiser.ts";
import type { Disturbance } from "../models/critics/discriminator.ts";
import { createParameterisation, noiseLevels } from "../models/diffusion/parameterisation.ts";
import type { TrainSettings } from "../schemas/settings.ts";

const DISTURBANCE = "disturbance.";

/** Whether the discriminator has a part that sees latents under noise: heads over frozen features see them clean. */
const isDisturbed = ({ discriminator, discriminatorNoise: [, most] }: TrainSettings): boolean => discriminator !== "features" && most > 0;

/** The inputs that {@link disturbances} draws; none where nothing reads them. */
export function disturbanceInputs(settings: TrainSettings, { shape }: DenoiserSpec, rows: number): ProgramSpec["inputs"] {
  if (!isDisturbed(settings)) return {};
  const inputs = { noise: { shape: [rows, ...shape] }, sigma: { shape: [rows] }, cIn: { shape: [rows] }, cNoise: { shape: [rows] } };
  return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [DISTURBANCE + name, input]));
}

/** Noise and its levels for a step's batch, ln sigma uniform: a pure function of (seed, step). */
export function disturbances(options: {
  settings: TrainSettings;
  spec: DenoiserSpec;
  seed: number;
  step: number;
}): Record<string, Float32Array> {
  const { settings, spec, seed, step } = options;
  const { batch, discriminatorNoise } = settings;
  const [least, most] = discriminatorNoise;
  if (!isDisturbed(settings)) return {};
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

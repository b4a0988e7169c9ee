/** A denoiser's answer to clean latents under given noise: what every training along noise levels looks at. */
import type { ProgramSpec } from "../../engine/program.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { type Parameters, spread } from "../layers.ts";
import { denoise } from "./denoise.ts";
import type { Preconditioning } from "./parameterisation.ts";

/** Declarations of a program that noises latents: clean latents and noise, levels as `noiseLevels` makes them, conditions. */
export function noisedInputs(spec: DenoiserSpec, batch: number): ProgramSpec["inputs"] {
  const image = { shape: [batch, ...spec.shape] };
  const perSample = { shape: [batch] };
  const levels = { sigma: perSample, weight: perSample, cSkip: perSample, cOut: perSample, cIn: perSample, cNoise: perSample };
  return { clean: image, noise: image, ...levels, ...conditionInputs(spec, batch) };
}

/**
 * Squared errors of D(clean + sigma noise; sigma) against the clean latents, [b, h, w, c], times each sample's weight, mean
 * over all elements: a scalar.
 */
export function denoisingLoss(spec: DenoiserSpec, parameters: Parameters, inputs: Record<string, Tensor>): Tensor {
  const { clean, noise, sigma, weight, ...rest } = inputs as Record<string, Tensor> & Preconditioning<Tensor>;
  const condition = embedConditions(spec, parameters, rest as never);
  const denoised = denoise({
    x: tf.add(clean as Tensor, tf.mul(noise as Tensor, spread(sigma as Tensor))),
    coefficients: rest,
    network: ({ x, noiseLevel }) => applyNetwork(spec, parameters, { x, noiseLevel, condition }),
  });
  const squared = tf.square(tf.sub(denoised, clean as Tensor));
  return tf.mean(tf.mul(squared, spread(weight as Tensor)));
}

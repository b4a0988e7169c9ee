/** The generator that all one-step students are: a single evaluation of the denoiser at one noise level, mostly the highest. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import type { Parameters } from "../layers.ts";
import { numbers } from "./arithmetic.ts";
import { denoise } from "./denoise.ts";
import { createParameterisation } from "./parameterisation.ts";

/** Unit noise [b, h, w, c] and condition inputs to clean latents [b, h, w, c]: D(sigma noise; sigma), sigma being `level` or sigmaMax. */
export function generate(spec: DenoiserSpec, parameters: Parameters, noise: Tensor, given: Record<string, Tensor>, level?: number): Tensor {
  const parameterisation = createParameterisation(spec.diffusion);
  const sigma = level ?? parameterisation.sigmaMax;
  const condition = embedConditions(spec, parameters, given);
  return denoise({
    x: tf.mul(noise, sigma),
    coefficients: parameterisation.precondition(sigma, numbers),
    network: (at) => applyNetwork(spec, parameters, { ...at, condition }),
  });
}

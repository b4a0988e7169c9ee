/** The frozen teacher as a feature network: the fallback of E-LatentLPIPS where no perceptual network was trained. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { numbers } from "../diffusion/arithmetic.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { familyOf } from "../families/registry.ts";
import type { Parameters } from "../layers.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";

/** Noise level at which the clean latents are shown, relative to sigmaData. */
const RELATIVE_SIGMA = 0.1;

/** Feature maps of clean latents [b, h, w, c], in the layout of the teacher's family, from its first half without conditions. */
export function teacherFeatures(spec: DenoiserSpec, parameters: Parameters, latents: Tensor): Tensor[] {
  const batch = latents.shape[0] as number;
  const { cIn, cNoise } = createParameterisation(spec.diffusion).precondition(RELATIVE_SIGMA * spec.diffusion.sigmaData, numbers);
  const noiseLevel = tf.fill([batch], cNoise) as Tensor;
  const x = tf.mul(latents, cIn);
  const dropped = Object.entries(conditionInputs(spec, batch)).map(([name, { shape, dtype }]) => [name, tf.zeros(shape, dtype)]);
  const condition = embedConditions(spec, parameters, Object.fromEntries(dropped));
  const places = familyOf(spec).features;
  const maps: Tensor[] = [];
  const tap = (place: string, features: Tensor): void => void (places.includes(place) && maps.push(features));
  applyNetwork(spec, parameters, { x, noiseLevel, condition }, { tap, last: places.at(-1) });
  return maps;
}

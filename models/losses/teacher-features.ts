/** The frozen teacher as a feature network: the fallback of E-LatentLPIPS where no perceptual network was trained. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { numbers } from "../diffusion/arithmetic.ts";
import { type DenoiserSpec, ditConfig, embedConditions, unetConfig } from "../denoiser.ts";
import { applyBlock, embedCondition, embedPatches } from "../families/dit.ts";
import type { Parameters } from "../layers.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";
import { unetFeatures } from "../families/unet.ts";

/** Noise level at which the clean latents are shown, relative to sigmaData. */
const RELATIVE_SIGMA = 0.1;

/** Feature maps of clean latents [b, h, w, c] from the first half of an unconditional teacher. */
export function teacherFeatures(spec: DenoiserSpec, parameters: Parameters, latents: Tensor): Tensor[] {
  const batch = latents.shape[0] as number;
  const { cIn, cNoise } = createParameterisation(spec.diffusion).precondition(RELATIVE_SIGMA * spec.diffusion.sigmaData, numbers);
  const noiseLevel = tf.fill([batch], cNoise) as Tensor;
  const x = tf.mul(latents, cIn);
  const nothing = {
    keep: tf.zeros([batch]),
    label: tf.zeros([batch], "int32"),
    tokens: tf.zeros([batch, spec.network.captionTokens], "int32"),
  };
  const condition = embedConditions(spec, parameters, nothing);
  if (spec.network.kind === "unet") return unetFeatures(unetConfig(spec), parameters, { x, noiseLevel, condition }).encoder;
  const config = ditConfig(spec);
  const vector = embedCondition(parameters, noiseLevel, condition);
  let tokens = embedPatches(config, parameters, x);
  const features: Tensor[] = [];
  for (let i = 0; i < Math.ceil(config.depth / 2); i++) {
    tokens = applyBlock(config, parameters, i, tokens, vector);
    features.push(tokens);
  }
  return features;
}

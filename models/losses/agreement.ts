/** How far two predictions of clean latents are from agreeing: a distance of latents, and a perceptual one beside it. */
import type { ProgramSpec } from "../../engine/program.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import { rowDistances } from "../diffusion/consistency.ts";
import { type Parameters, spread } from "../layers.ts";
import { DRAW_SIZE } from "./augment.ts";
import { latentDistance } from "./latent-distance.ts";
import type { PerceptualConfig } from "./perceptual.ts";
import type { Terms } from "./terms.ts";

export interface Agreement {
  /** The frozen network that is looked through, where one is. */
  reads: readonly string[];
  /** Inputs besides the latents: random transforms, where it is. */
  inputs: ProgramSpec["inputs"];
  /**
   * The terms of the loss, the first by the name `name`. `a`, which has the gradient, and `b` are latents [b, h, w, c] in which noise
   * of the levels `sigma` [b] is left; they are clean without it. `read` are the parameters of the networks by role.
   */
  terms: (
    name: string,
    pair: { a: Tensor; b: Tensor; sigma?: Tensor; draws?: Tensor; read: Readonly<Record<string, Parameters>> },
  ) => Terms;
}

/** The disagreement by a distance of rows, and by the perceptual distance of latents `perceptualWeight` times, where that is above 0. */
export function createAgreement(options: {
  spec: DenoiserSpec;
  perceptual?: PerceptualConfig;
  distance: keyof typeof rowDistances;
  perceptualWeight: number;
  batch: number;
}): Agreement {
  const { spec, perceptual, distance, perceptualWeight, batch } = options;
  const { sigmaData } = spec.diffusion;
  const { role, between } = latentDistance({ spec, perceptual });
  const rows = rowDistances[distance](spec.shape);
  const isPerceptual = perceptualWeight > 0;
  return {
    reads: isPerceptual ? [role] : [],
    inputs: isPerceptual ? { draws: { shape: [batch, DRAW_SIZE] } } : {},
    terms: (name, { a, b, sigma, draws, read }) => {
      const terms: Terms = { [name]: [tf.mean(rows(a, b)), 1] };
      if (!isPerceptual) return terms;
      const shrink = sigma ? spread(tf.div(sigmaData, tf.sqrt(tf.add(tf.square(sigma), sigmaData ** 2)))) : 1; // to the data's deviation
      terms.perceptual = [between(tf.mul(a, shrink), tf.mul(b, shrink), read[role] as Parameters, draws), perceptualWeight];
      return terms;
    },
  };
}

/**
 * A discriminator over frozen features (Projected GAN, Sauer et al. 2021; D2O, docs/METHODS.md 3.4): small heads read the taps of
 * the perceptual network at each of its scales, conditioned on class or caption by projection (Miyato & Koyama 2018). Of
 * each tap one head judges every position, and one the whole image, by the mean and the deviation over its positions.
 */
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Embedded } from "../encoders/encoder.ts";
import { createInitialiser } from "../initialise.ts";
import type { Parameters } from "../layers.ts";
import { type PerceptualConfig, perceptualTaps } from "../losses/perceptual.ts";
import { applyHeads, initHeads } from "./heads.ts";

const headsOf = (stage: number): string => `projected.${stage}`;

/** Initial weights of the heads, of `width` channels each; logits start near zero. `condition` is its vector's length, 0: none. */
export function initProjected(options: { config: PerceptualConfig; width: number; condition: number; seed: number }): Weights {
  const { config, width, condition, seed } = options;
  const init = createInitialiser(seed);
  for (let stage = 0; stage < config.stages; stage++) {
    initHeads(init, headsOf(stage), { channels: config.width * 2 ** stage, width, condition });
  }
  return init.weights;
}

/**
 * Logits of real against generated latents x [b, h, w, c]: [b, positions] and [b, 1] of each scale. `features` are the
 * perceptual network's parameters, which stay as they are; of the condition they read its vector [b, width].
 */
export function applyProjected(
  config: PerceptualConfig,
  { heads, features }: { heads: Parameters; features: Parameters },
  { x, condition: { vector: condition } = {} }: { x: Tensor; condition?: Embedded },
): Tensor[] {
  return perceptualTaps(config, features, x).flatMap((map, stage) => applyHeads(heads, headsOf(stage), { map, condition }));
}

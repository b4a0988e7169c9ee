/**
 * A discriminator over frozen features (Projected GAN, Sauer et al. 2021; D2O, METHODS 3.4): small heads read the taps of
 * the perceptual network at each of its scales, conditioned on class or caption by projection (Miyato & Koyama 2018).
 */
import { tf, type Tensor } from "../engine/tfjs.ts";
import type { Weights } from "../engine/weights.ts";
import { createInitialiser } from "./initialise.ts";
import { layerNorm, linear, type Parameters, silu } from "./layers.ts";
import { type PerceptualConfig, perceptualTaps } from "./perceptual.ts";

const headName = (stage: number): string => `projected.${stage}`;

/** Initial weights of the heads, of `width` channels each; logits start near zero. `condition` is its vector's length, 0: none. */
export function initProjected(options: { config: PerceptualConfig; width: number; condition: number; seed: number }): Weights {
  const { config, width, condition, seed } = options;
  const init = createInitialiser(seed);
  for (let stage = 0; stage < config.stages; stage++) {
    init.linear(`${headName(stage)}.in`, config.width * 2 ** stage, width);
    init.linear(`${headName(stage)}.middle`, width, width);
    init.linear(`${headName(stage)}.out`, width, 1, { gain: 0.1 });
    if (condition > 0) init.linear(`${headName(stage)}.condition`, condition, width, { gain: 0.1 });
  }
  return init.weights;
}

/**
 * Logits of real against generated latents x [b, h, w, c], [b, positions] a scale. `features` are the perceptual network's
 * parameters, which stay as they are; condition [b, width].
 */
export function applyProjected(
  config: PerceptualConfig,
  { heads, features }: { heads: Parameters; features: Parameters },
  { x, condition }: { x: Tensor; condition?: Tensor },
): Tensor[] {
  return perceptualTaps(config, features, x).map((tap, stage) => {
    const name = headName(stage);
    const [b, h, w] = tap.shape as [number, number, number, number];
    const first = silu(linear(heads, `${name}.in`, layerNorm(tf.reshape(tap, [b, h * w, -1]))));
    const hidden = silu(linear(heads, `${name}.middle`, first));
    const logits = tf.reshape(linear(heads, `${name}.out`, hidden), [b, h * w]);
    if (!condition) return logits;
    const wanted = tf.reshape(linear(heads, `${name}.condition`, condition), [b, 1, -1]);
    return tf.add(logits, tf.sum(tf.mul(hidden, wanted), 2));
  });
}

/**
 * A discriminator over frozen features (Projected GAN, Sauer et al. 2021; D2O, docs/METHODS.md 3.4): small heads read the taps of
 * the perceptual network at each of its scales, conditioned on class or caption by projection (Miyato & Koyama 2018). Of
 * each tap one head judges every position, and one the whole image, by the mean and the deviation over its positions.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Embedded } from "../encoders/encoder.ts";
import { createInitialiser } from "../initialise.ts";
import { downsample, layerNorm, linear, type Parameters, silu } from "../layers.ts";
import { type PerceptualConfig, perceptualTaps } from "../losses/perceptual.ts";

const placesHead = (stage: number): string => `projected.${stage}.places`;
const wholeHead = (stage: number): string => `projected.${stage}.whole`;

/** Initial weights of the heads, of `width` channels each; logits start near zero. `condition` is its vector's length, 0: none. */
export function initProjected(options: { config: PerceptualConfig; width: number; condition: number; seed: number }): Weights {
  const { config, width, condition, seed } = options;
  const init = createInitialiser(seed);
  const head = (name: string, inputs: number): void => {
    init.linear(`${name}.in`, inputs, width);
    init.linear(`${name}.middle`, width, width);
    init.linear(`${name}.out`, width, 1, { gain: 0.1 });
    if (condition > 0) init.linear(`${name}.condition`, condition, width, { gain: 0.1 });
  };
  for (let stage = 0; stage < config.stages; stage++) {
    const channels = config.width * 2 ** stage;
    head(placesHead(stage), channels);
    head(wholeHead(stage), 2 * channels);
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
  return perceptualTaps(config, features, x).flatMap((tap, stage) => [
    applyHead(heads, placesHead(stage), { x: places(coarse(tap)), condition }),
    applyHead(heads, wholeHead(stage), { x: overPlaces(places(tap)), condition }),
  ]);
}

/** Most positions that are judged one by one: those of a 28 or 32 px map would take longer than the rest of a training step. */
const MOST_PLACES = 256;

/** The map averaged over 2x2 positions until at most MOST_PLACES are left, or a side is odd. */
function coarse(map: Tensor): Tensor {
  const [, h, w] = map.shape as [number, number, number, number];
  return h * w > MOST_PLACES && h % 2 === 0 && w % 2 === 0 ? coarse(downsample(map)) : map;
}

/** A map [b, h, w, c] as vectors [b, h w, c]. */
const places = (map: Tensor): Tensor => tf.reshape(map, [map.shape[0]!, -1, map.shape[3]!]);

/** Logits [b, n] of n vectors a sample, x [b, n, c]. */
function applyHead(heads: Parameters, name: string, { x, condition }: { x: Tensor; condition?: Tensor }): Tensor {
  const first = silu(linear(heads, `${name}.in`, layerNorm(x)));
  const hidden = silu(linear(heads, `${name}.middle`, first));
  const logits = tf.squeeze(linear(heads, `${name}.out`, hidden), [2]);
  if (!condition) return logits;
  const wanted = tf.expandDims(linear(heads, `${name}.condition`, condition), 1);
  return tf.add(logits, tf.sum(tf.mul(hidden, wanted), 2));
}

/** Mean and standard deviation of the n vectors of a sample, x [b, n, c]: [b, 1, 2 c]. */
function overPlaces(x: Tensor): Tensor {
  const mean = tf.mean(x, 1, true);
  const variance = tf.mean(tf.square(tf.sub(x, mean)), 1, true);
  return tf.concat([mean, tf.sqrt(tf.add(variance, 1e-4))], 2);
}

/**
 * Small heads over feature maps: of each map one judges every position, and one the whole of it, by the mean and the deviation
 * over its positions, conditioned by projection (Miyato & Koyama 2018). Projected GAN's discriminators are made of them.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Initialiser } from "../initialise.ts";
import { downsample, layerNorm, linear, type Parameters, silu } from "../layers.ts";

const placesHead = (name: string): string => `${name}.places`;
const wholeHead = (name: string): string => `${name}.whole`;

/**
 * Initial weights of the two heads over a map of `channels`, of `width` channels each; logits start near zero. `condition` is the
 * length of the vector that conditions them, 0: none.
 */
export function initHeads(init: Initialiser, name: string, options: { channels: number; width: number; condition: number }): void {
  const { channels, width, condition } = options;
  const head = (own: string, inputs: number): void => {
    init.linear(`${own}.in`, inputs, width);
    init.linear(`${own}.middle`, width, width);
    init.linear(`${own}.out`, width, 1, { gain: 0.1 });
    if (condition > 0) init.linear(`${own}.condition`, condition, width, { gain: 0.1 });
  };
  head(placesHead(name), channels);
  head(wholeHead(name), 2 * channels);
}

/** Logits [b, positions] and [b, 1] of a map [b, h, w, c], conditioned on a vector [b, n] where there is one. */
export function applyHeads(heads: Parameters, name: string, { map, condition }: { map: Tensor; condition?: Tensor }): Tensor[] {
  return [
    applyHead(heads, placesHead(name), { x: places(coarse(map)), condition }),
    applyHead(heads, wholeHead(name), { x: overPlaces(places(map)), condition }),
  ];
}

/** Most positions that are judged one by one: those of a 28 or 32 px map would take longer than the rest of a training step. */
const MOST_PLACES = 256;

/** The map averaged over 2x2 positions until at most MOST_PLACES are left, or a side is odd. */
export function coarse(map: Tensor): Tensor {
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

/** Noise levels of students that are asked a few times, with fresh noise between (Song et al. 2023, algorithm 1). */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Sampler } from "../../schemas/model.ts";
import { spread } from "../layers.ts";
import type { Denoiser } from "./levels.ts";

/** TLCM's choice of the points 0 (pure noise) to 7 of a grid of eight equal parts, by the number of calls (its inference.py). */
const POINTS: Readonly<Record<number, readonly number[]>> = {
  1: [0],
  2: [0, 4],
  3: [0, 4, 7],
  4: [0, 2, 4, 7],
  5: [0, 2, 4, 6, 7],
  6: [0, 2, 4, 5, 6, 7],
  7: [0, 2, 3, 4, 5, 6, 7],
  8: [0, 1, 2, 3, 4, 5, 6, 7],
};

/** Shares of the time, falling from 1, at which a student is asked in so many calls: TLCM's up to 8, even ones above. */
export function fewShares(calls: number): number[] {
  const points = POINTS[calls];
  return points ? points.map((point) => 1 - point / 8) : evenShares(calls);
}

/** Shares of the time in even steps, falling from 1, [calls]. */
export const evenShares = (calls: number): number[] => Array.from({ length: calls }, (_, i) => 1 - i / calls);

/**
 * The sampler of a student that is asked in `usual` calls, or in any number of `calls` that somebody chooses, with fresh noise between.
 * `levels` answers falling noise levels for so many calls, which may be fewer than asked for.
 */
export function renoisingSampler(options: {
  usual: number;
  calls: readonly number[];
  levels: (calls: number) => number[];
  guidance?: number;
}): Sampler {
  const { usual, calls, levels, guidance = 1 } = options;
  const choices = Object.fromEntries(calls.map(levels).map((times) => [times.length, times]));
  return { times: levels(usual), between: "renoise", guidance, choices };
}

/**
 * A sample by fresh noise, inside a traced function: the state sigma_0 n_0, its clean prediction, that under sigma_1 n_1, and so on.
 * `draws` are unit noises [b, h, w, c], one for each of the levels. Answers the last clean prediction.
 */
export function renoised({
  predict,
  levels,
  draws,
}: {
  predict: Denoiser<Tensor>;
  levels: readonly number[];
  draws: readonly Tensor[];
}): Tensor {
  return levels.reduce<Tensor | undefined>((clean, sigma, i) => {
    const noise = tf.mul(draws[i] as Tensor, sigma);
    const rows = noise.shape[0] as number;
    return predict(clean ? tf.add(clean, noise) : noise, tf.fill([rows], sigma) as Tensor);
  }, undefined) as Tensor;
}

/** Clean latents [b, h, w, c] under unit noise at levels [b]. */
export const noisedAt = (clean: Tensor, noise: Tensor, sigma: Tensor): Tensor => tf.add(clean, tf.mul(noise, spread(sigma)));

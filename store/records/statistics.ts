/** Per-channel statistics of latents, accumulated in float64 in row order and shard order, so they are reproducible. */

import { addedTotals } from "./sum-kernel.ts";
import { inTurns } from "../places/turns.ts";

/** Sums over the finite values of each channel. */
export interface Sums {
  count: number[];
  sum: number[];
  squares: number[];
  min: (number | null)[]; // null: no value yet
  max: (number | null)[];
  nonFinite: number;
}

export interface Statistics {
  /** Each of these has one number a channel. */
  mean: number[];
  std: number[];
  min: number[];
  max: number[];
  /** Values that are NaN or infinite; the others ignore them. */
  nonFinite: number;
}

/**
 * Sums over latents whose last axis is the channel, added one after the other.
 *
 * @example
 * import { createSums } from "./statistics.ts";
 * const sums = createSums(2);
 * sums.add(Float32Array.of(1, 10, 3, 30));
 * assert.deepEqual(sums.result().sum, [4, 40]);
 */
export function createSums(channels: number): { add: (latent: Float32Array) => void; result: () => Sums } {
  const count = new Float64Array(channels);
  const totals = new Float64Array(4 * channels);
  const [sum, squares, min, max] = [0, 1, 2, 3].map((i) => totals.subarray(i * channels, (i + 1) * channels)) as [
    ...[Float64Array, Float64Array, Float64Array, Float64Array],
  ];
  min.fill(Infinity);
  max.fill(-Infinity);
  let nonFinite = 0;
  const add = (latent: Float32Array): void => {
    const added = addedTotals(totals, latent);
    for (let c = 0; c < channels; c++) {
      // Squares of float32 values cannot exceed float64: a sum of them is finite where all values are.
      if (!Number.isFinite(added[channels + c])) {
        addFinite(latent, c);
        continue;
      }
      count[c]! += latent.length / channels;
      for (let at = c; at < totals.length; at += channels) totals[at] = added[at]!;
    }
  };
  /** Adds those values of a channel that are finite, and counts the others. */
  const addFinite = (latent: Float32Array, c: number): void => {
    for (let i = c; i < latent.length; i += channels) {
      const value = latent[i]!;
      if (value - value !== 0) {
        nonFinite++;
        continue;
      }
      count[c]!++;
      sum[c]! += value;
      squares[c]! += value * value;
      min[c] = Math.min(min[c]!, value);
      max[c] = Math.max(max[c]!, value);
    }
  };
  const orNull = (values: Float64Array) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));
  return {
    add,
    result: () => ({ count: [...count], sum: [...sum], squares: [...squares], min: orNull(min), max: orNull(max), nonFinite }),
  };
}

/** The sums of a shard's latents [height, width, channels], row by row; lets the control thread serve others meanwhile. */
export async function sumsOf<R>(rows: readonly R[], [height, width, channels]: Shape, latentOf: (row: R) => Float32Array): Promise<Sums> {
  const sums = createSums(channels);
  await inTurns(rows, 4 * height * width * channels, (row) => sums.add(latentOf(row)));
  return sums.result();
}

type Shape = readonly [number, number, number];

/**
 * The statistics of all parts together; the order of the parts decides the last bits. A channel without values is 0.
 *
 * @example
 * import { createSums, statisticsOf } from "./statistics.ts";
 * const [first, second] = [createSums(1), createSums(1)];
 * first.add(Float32Array.of(1));
 * second.add(Float32Array.of(3));
 * const { mean, std } = statisticsOf([first.result(), second.result()], 1);
 * assert.deepEqual([mean, std], [[2], [1]]);
 */
export function statisticsOf(parts: Iterable<Sums>, channels: number): Statistics {
  const totals = createTotals(channels);
  for (const part of parts) totals.add(part);
  return totals.result();
}

/**
 * Adds up the sums of parts as they come, in memory that does not grow with their number; `result` is their statistics so far.
 *
 * @example
 * import { createSums, createTotals } from "./statistics.ts";
 * const [part, totals] = [createSums(1), createTotals(1)];
 * part.add(Float32Array.of(1, 3));
 * totals.add(part.result());
 * assert.deepEqual(totals.result().mean, [2]);
 */
export function createTotals(channels: number): { add: (part: Sums) => void; result: () => Statistics } {
  const [count, sum, squares] = [new Float64Array(channels), new Float64Array(channels), new Float64Array(channels)];
  const [min, max] = [new Float64Array(channels).fill(Infinity), new Float64Array(channels).fill(-Infinity)];
  let nonFinite = 0;
  return {
    add: (part) => {
      nonFinite += part.nonFinite;
      for (let c = 0; c < channels; c++) {
        count[c]! += part.count[c]!;
        sum[c]! += part.sum[c]!;
        squares[c]! += part.squares[c]!;
        min[c] = Math.min(min[c]!, part.min[c] ?? Infinity);
        max[c] = Math.max(max[c]!, part.max[c] ?? -Infinity);
      }
    },
    result: () => {
      const statistics: Statistics = { mean: [], std: [], min: [], max: [], nonFinite };
      for (let c = 0; c < channels; c++) {
        const n = Math.max(1, count[c]!);
        const mean = sum[c]! / n;
        statistics.mean.push(mean);
        statistics.std.push(Math.sqrt(Math.max(0, squares[c]! / n - mean * mean)));
        statistics.min.push(count[c] ? min[c]! : 0);
        statistics.max.push(count[c] ? max[c]! : 0);
      }
      return statistics;
    },
  };
}

/**
 * Latents [..., channels] scaled to zero mean and standard deviation sigmaData in every channel:
 * (x - mean) / std * sigmaData. A constant channel is only shifted. Returns a new array.
 *
 * @example
 * import { normalise } from "./statistics.ts";
 * const statistics = { mean: [1], std: [2], min: [-1], max: [3], nonFinite: 0 };
 * assert.deepEqual(normalise(Float32Array.of(-1, 3), statistics, 0.5), Float32Array.of(-0.5, 0.5));
 */
export function normalise(latents: Float32Array, statistics: Statistics, sigmaData: number): Float32Array {
  const { mean, scale, channels } = affine(statistics, sigmaData);
  return latents.map((value, i) => (value - mean[i % channels]!) * scale[i % channels]!);
}

/**
 * Mean and standard deviation of every channel after `normalise`: 0 and sigmaData, and 0 and 0 of a constant channel.
 *
 * @example
 * import { normalisedMoments } from "./statistics.ts";
 * const statistics = { mean: [1, 4], std: [2, 0], min: [-1, 4], max: [3, 4], nonFinite: 0 };
 * assert.deepEqual(normalisedMoments(statistics, 0.5), { mean: [0, 0], std: [0.5, 0] });
 */
export function normalisedMoments({ mean, std }: Statistics, sigmaData: number): { mean: number[]; std: number[] } {
  return { mean: mean.map(() => 0), std: std.map((of) => (of > 0 ? sigmaData : 0)) };
}

/**
 * The inverse of `normalise`: back to what the encoder gave and its decoder expects.
 *
 * @example
 * import { denormalise } from "./statistics.ts";
 * const statistics = { mean: [1], std: [2], min: [-1], max: [3], nonFinite: 0 };
 * assert.deepEqual(denormalise(Float32Array.of(-0.5, 0.5), statistics, 0.5), Float32Array.of(-1, 3));
 */
export function denormalise(latents: Float32Array, statistics: Statistics, sigmaData: number): Float32Array {
  const { mean, scale, channels } = affine(statistics, sigmaData);
  return latents.map((value, i) => value / scale[i % channels]! + mean[i % channels]!);
}

function affine({ mean, std }: Statistics, sigmaData: number): { mean: number[]; scale: number[]; channels: number } {
  return { mean, scale: std.map((std) => (std > 0 ? sigmaData / std : 1)), channels: mean.length };
}

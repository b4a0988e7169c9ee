/**
 * Data whose denoiser, ODE and states on its way are known exactly: Gaussian, N(mu, S), and on a line a mixture of two, along which
 * the ODE carries quantiles to quantiles.
 */
import type { Weights } from "../../engine/weights.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { affineWeights } from "../fixtures/affine-family.ts";
import { tableWeights } from "../fixtures/table-family.ts";

export interface Ground {
  size: number;
  mean: Float64Array;
  /** S, [size * size]. */
  covariance: Float64Array;
  teacher: Weights;
  /** Rows of the data for unit normals [rows * size]. */
  data: (normal: Float32Array) => Float32Array;
  /** Where the ODE carries sigmaMax z from sigmaMax to sigma, for unit normals z [rows * size]. */
  state: (noise: Float32Array, sigma: number) => Float32Array;
}

/** Data of the latents of `spec`, whose standard deviations along its axes are these in turn. */
export function gaussianGround(spec: DenoiserSpec, { deviations = [0.7, 0.5, 0.4, 0.3], shift = 0.3 } = {}): Ground {
  const size = spec.shape.reduce((a, b) => a * b, 1);
  const { sigmaMax } = createParameterisation(spec.diffusion);
  const axes = orthogonal(size);
  const spread = Float64Array.from({ length: size }, (_, i) => deviations[i % deviations.length] as number);
  const mean = Float64Array.from(normals({ seed: 11, stream: "known/mean", length: size }), (n) => shift * Math.tanh(n));
  /** sum over axes of f(s) u u^T. */
  const along = (f: (s: number) => number): Float64Array => {
    const matrix = new Float64Array(size * size);
    spread.forEach((s, k) => {
      const factor = f(s);
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++) matrix[i * size + j]! += factor * axes[k * size + i]! * axes[k * size + j]!;
    });
    return matrix;
  };
  const mapped = (rows: Float32Array, matrix: Float64Array, from: Float64Array, to: Float64Array): Float32Array => {
    const out = new Float32Array(rows.length);
    for (let at = 0; at < rows.length; at += size)
      for (let j = 0; j < size; j++) {
        let sum = to[j] as number;
        for (let i = 0; i < size; i++) sum += ((rows[at + i] as number) - (from[i] as number)) * (matrix[i * size + j] as number);
        out[at + j] = sum;
      }
    return out;
  };
  const nothing = new Float64Array(size);
  return {
    size,
    mean,
    covariance: along((s) => s * s),
    teacher: affineWeights(spec, (sigma) => {
      const matrix = along((s) => (s * s) / (s * s + sigma * sigma));
      const shift = Float64Array.from({ length: size }, (_, j) => {
        let sum = mean[j] as number;
        for (let i = 0; i < size; i++) sum -= (mean[i] as number) * (matrix[i * size + j] as number);
        return sum;
      });
      return { matrix, shift };
    }),
    data: (normal) =>
      mapped(
        normal,
        along((s) => s),
        nothing,
        mean,
      ),
    state: (noise, sigma) => {
      const scaled = mean.map((value) => value / sigmaMax);
      const matrix = along((s) => sigmaMax * Math.sqrt((s * s + sigma * sigma) / (s * s + sigmaMax * sigmaMax)));
      return mapped(noise, matrix, scaled, mean);
    },
  };
}

/** Two Gaussians of equal weight on a line. */
const PARTS = [
  { mean: -0.5, deviation: 0.15 },
  { mean: 0.4, deviation: 0.25 },
];

export function mixtureGround(spec: DenoiserSpec): Ground {
  const { sigmaMax } = createParameterisation(spec.diffusion);
  const at = (sigma: number) => PARTS.map(({ mean, deviation }) => ({ mean, spread: Math.hypot(deviation, sigma) }));
  const below = (x: number, sigma: number): number =>
    at(sigma).reduce((sum, { mean, spread }) => sum + normalBelow((x - mean) / spread) / PARTS.length, 0);
  const quantile = (share: number, sigma: number): number => {
    let [low, high] = [-12 * Math.hypot(1, sigma), 12 * Math.hypot(1, sigma)];
    for (let i = 0; i < 70; i++) {
      const middle = (low + high) / 2;
      if (below(middle, sigma) < share) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };
  const mean = PARTS.reduce((sum, part) => sum + part.mean / PARTS.length, 0);
  const square = PARTS.reduce((sum, part) => sum + (part.mean ** 2 + part.deviation ** 2) / PARTS.length, 0);
  return {
    size: 1,
    mean: Float64Array.of(mean),
    covariance: Float64Array.of(square - mean ** 2),
    teacher: tableWeights(spec, (x, sigma) => {
      const parts = at(sigma).map((part, i) => {
        const { mean, deviation } = PARTS[i]!;
        const likely = -(((x - part.mean) / part.spread) ** 2) / 2 - Math.log(part.spread);
        return { likely, clean: mean + ((x - mean) * deviation ** 2) / part.spread ** 2 };
      });
      const most = Math.max(...parts.map(({ likely }) => likely));
      const weights = parts.map(({ likely }) => Math.exp(likely - most));
      const total = weights.reduce((a, b) => a + b, 0);
      return parts.reduce((sum, { clean }, i) => sum + (clean * weights[i]!) / total, 0);
    }),
    data: tabulated(() => (n) => quantile(normalBelow(n), 0)),
    state: tabulated((sigma) => (n) => quantile(below(sigmaMax * n, sigmaMax), sigma)),
  };
}

/** Functions of one number in [-7, 7], each computed at 2,801 places once and interpolated. */
function tabulated(of: (sigma: number) => (n: number) => number): (values: Float32Array, sigma?: number) => Float32Array {
  const tables = new Map<number, number[]>();
  return (values, sigma = 0) => {
    const table = tables.get(sigma) ?? Array.from({ length: 2801 }, (_, i) => of(sigma)(i / 200 - 7));
    tables.set(sigma, table);
    return values.map((n) => {
      const place = (n + 7) * 200;
      const before = Math.min(2799, Math.floor(place));
      return table[before]! + (place - before) * (table[before + 1]! - table[before]!);
    });
  };
}

/** The share of a standard normal below x, by Simpson's rule, to 1e-9. */
function normalBelow(x: number): number {
  const pieces = 64;
  const h = x / pieces;
  const density = (t: number): number => Math.exp(-(t * t) / 2);
  let sum = density(0) + density(x);
  for (let i = 1; i < pieces; i++) sum += (i % 2 === 0 ? 2 : 4) * density(i * h);
  return 0.5 + (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}

/** Mean and covariance of rows [n * size]. */
export function moments(rows: Float32Array, size: number): { mean: Float64Array; covariance: Float64Array } {
  const count = rows.length / size;
  const mean = new Float64Array(size);
  for (let i = 0; i < rows.length; i++) mean[i % size]! += (rows[i] as number) / count;
  const covariance = new Float64Array(size * size);
  for (let at = 0; at < rows.length; at += size)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) covariance[i * size + j]! += ((rows[at + i]! - mean[i]!) * (rows[at + j]! - mean[j]!)) / count;
  return { mean, covariance };
}

/** Orthonormal axes [size * size], a row each: Gram-Schmidt of fixed normals. */
function orthogonal(size: number): Float64Array {
  const axes = Float64Array.from(normals({ seed: 12, stream: "known/axes", length: size * size }));
  for (let k = 0; k < size; k++) {
    const row = axes.subarray(k * size, (k + 1) * size);
    for (let before = 0; before < k; before++) {
      const other = axes.subarray(before * size, (before + 1) * size);
      const along = row.reduce((sum, value, i) => sum + value * (other[i] as number), 0);
      row.forEach((value, i) => (row[i] = value - along * (other[i] as number)));
    }
    const length = Math.hypot(...row);
    row.forEach((value, i) => (row[i] = value / length));
  }
  return axes;
}

import { addDots } from "./dots.ts";

/** A Gaussian fitted to feature vectors: `covariance` is [dimension, dimension], row-major. */
export interface Gaussian {
  count: number;
  mean: Float64Array;
  covariance: Float64Array;
}

/**
 * Streaming mean and unbiased covariance (divisor count - 1) in float64. `add` takes features [rows, dimension];
 * `result` may be read at any time after two rows. Memory is one [dimension, dimension] matrix.
 */
export function runningStatistics(dimension: number): {
  add: (features: ArrayLike<number>) => void;
  result: () => Gaussian;
} {
  let count = 0;
  // Sums are taken around the first batch's mean: raw second moments would cancel where the mean is large.
  let shift: Float64Array | undefined;
  const sum = new Float64Array(dimension);
  const products = new Float64Array(dimension * dimension); // of which the lower triangle is read

  return {
    add(features) {
      const rows = features.length / dimension;
      if (!Number.isInteger(rows)) throw new RangeError(`${features.length} values are not rows of ${dimension}`);
      if (rows === 0) return;
      shift ??= columnMeans(features, dimension);
      const columns = new Float64Array(features.length); // centred, [dimension, rows]
      for (let row = 0, at = 0; row < rows; row++) {
        for (let i = 0; i < dimension; i++, at++) {
          const value = features[at]! - shift[i]!;
          columns[i * rows + row] = value;
          sum[i]! += value;
        }
      }
      addDots({ a: columns, b: columns, depth: rows, target: products, lower: true });
      count += rows;
    },

    result() {
      if (!shift || count < 2) throw new RangeError(`a covariance needs at least two rows, not ${count}`);
      const covariance = new Float64Array(dimension * dimension);
      for (let i = 0; i < dimension; i++) {
        for (let j = 0; j <= i; j++) {
          const value = (products[i * dimension + j]! - (sum[i]! * sum[j]!) / count) / (count - 1);
          covariance[i * dimension + j] = covariance[j * dimension + i] = value;
        }
      }
      return { count, mean: sum.map((value, i) => value / count + shift![i]!), covariance };
    },
  };
}

function columnMeans(features: ArrayLike<number>, dimension: number): Float64Array {
  const means = new Float64Array(dimension);
  for (let at = 0; at < features.length; at++) means[at % dimension]! += features[at]!;
  return means.map((value) => (value * dimension) / features.length);
}

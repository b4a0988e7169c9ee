import { addDots } from "./dots.ts";
import { symmetricEigenvalues } from "./eigenvalues.ts";
import type { Gaussian } from "./statistics.ts";

/**
 * Fréchet distance between two Gaussians (squared 2-Wasserstein; Dowson and Landau 1982; FID of Heusel et al. 2017):
 * |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2. In the features' units squared.
 *
 * With S1 = F F', the matrix under the root has the non-zero eigenvalues of the symmetric F' S2 F, so neither a matrix
 * square root nor eigenvectors are needed, and singular covariances (dead features, few samples) do no harm.
 */
export function frechetDistance(first: Pick<Gaussian, "mean" | "covariance">, second: Pick<Gaussian, "mean" | "covariance">): number {
  const size = first.mean.length;
  if (second.mean.length !== size) {
    throw new RangeError(`Gaussians of ${size} and ${second.mean.length} dimensions cannot be compared`);
  }
  let distance = 0;
  for (let i = 0; i < size; i++) {
    distance += (first.mean[i]! - second.mean[i]!) ** 2;
    distance += first.covariance[i * size + i]! + second.covariance[i * size + i]!;
  }
  if (!Number.isFinite(distance)) throw new RangeError("the features hold NaN or infinity");
  const { factor, rank } = semidefiniteFactor(first.covariance, size);
  if (rank === 0) return Math.max(distance, 0);
  const transposed = Float64Array.from({ length: rank * size }, (_, at) => factor[(at % size) * rank + Math.floor(at / size)]!);
  const roots = symmetricEigenvalues(congruence(transposed, second.covariance, size, rank), rank);
  for (const root of roots) distance -= 2 * Math.sqrt(Math.max(root, 0));
  return Math.max(distance, 0);
}

/**
 * Cholesky factor with diagonal pivoting of a positive semidefinite matrix [size, size]: S = F F', F [size, rank],
 * rows in the matrix's own order. Stops where what remains is rounding error (Higham 1990).
 */
export function semidefiniteFactor(matrix: Float64Array, size: number): { factor: Float64Array; rank: number } {
  const rows = new Float64Array(size * size); // row i holds F[i, 0..rank)
  const remaining = Float64Array.from({ length: size }, (_, i) => matrix[i * size + i]!);
  const negligible = size * Number.EPSILON * remaining.reduce((a, b) => Math.max(a, b), 0);
  const column = new Float64Array(size);
  let rank = 0;
  for (; rank < size; rank++) {
    let pivot = 0;
    for (let i = 1; i < size; i++) if (remaining[i]! > remaining[pivot]!) pivot = i;
    if (!(remaining[pivot]! > negligible)) break;
    const scale = 1 / Math.sqrt(remaining[pivot]!);
    const pivotRow = rows.subarray(pivot * size, pivot * size + rank);
    for (let i = 0; i < size; i++) {
      let value = matrix[pivot * size + i]!;
      for (let k = 0, at = i * size; k < rank; k++, at++) value -= rows[at]! * pivotRow[k]!;
      column[i] = value * scale;
      remaining[i]! -= column[i]! ** 2;
    }
    remaining[pivot] = 0;
    for (let i = 0; i < size; i++) rows[i * size + rank] = column[i]!;
  }
  const factor = new Float64Array(size * rank);
  for (let i = 0; i < size; i++) factor.set(rows.subarray(i * size, i * size + rank), i * rank);
  return { factor, rank };
}

/** F' S F [rank, rank], lower triangle only, for F' [rank, size] and symmetric S [size, size]. */
function congruence(transposed: Float64Array, matrix: Float64Array, size: number, rank: number): Float64Array {
  const half = new Float64Array(rank * size); // F' S
  addDots({ a: transposed, b: matrix, depth: size, target: half });
  const result = new Float64Array(rank * rank);
  addDots({ a: half, b: transposed, depth: size, target: result, lower: true });
  return result;
}

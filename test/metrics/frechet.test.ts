import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { symmetricEigenvalues } from "../../models/metrics/eigenvalues.ts";
import { frechetDistance, semidefiniteFactor } from "../../models/metrics/frechet.ts";
import { runningStatistics } from "../../models/metrics/statistics.ts";
import { assert, suite } from "../harness.ts";

const test = suite("Fréchet distance");

const gaussian = (mean: number[], covariance: number[]) => ({
  mean: Float64Array.from(mean),
  covariance: Float64Array.from(covariance),
});

function multiply(a: Float64Array, b: Float64Array, size: number): Float64Array {
  const result = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let k = 0; k < size; k++) for (let j = 0; j < size; j++) result[i * size + j]! += a[i * size + k]! * b[k * size + j]!;
  return result;
}

const transpose = (a: Float64Array, size: number) => a.map((_, at) => a[(at % size) * size + Math.floor(at / size)]!);
const trace = (a: Float64Array, size: number) => Array.from({ length: size }, (_, i) => a[i * size + i]!).reduce((x, y) => x + y, 0);

/** A random symmetric positive definite matrix, well enough conditioned for the iteration below. */
function positive(size: number, seed: number): Float64Array {
  const a = Float64Array.from(normals({ seed, stream: "spd", length: size * size }));
  return multiply(a, transpose(a, size), size).map((value, at) => value / size + (at % (size + 1) === 0 ? 0.5 : 0));
}

/** tr (A B)^1/2 by the coupled Newton-Schulz iteration (Higham, Functions of Matrices, 6.35): no eigenvalues at all. */
function traceOfRoot(a: Float64Array, b: Float64Array, size: number): number {
  const product = multiply(a, b, size);
  const norm = Math.sqrt(product.reduce((sum, value) => sum + value * value, 0));
  let y: Float64Array = product.map((value) => value / norm);
  let z: Float64Array = Float64Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
  for (let i = 0; i < 40; i++) {
    const t = multiply(z, y, size).map((value, at) => ((at % (size + 1) === 0 ? 3 : 0) - value) / 2);
    y = multiply(y, t, size);
    z = multiply(t, z, size);
  }
  return trace(y, size) * Math.sqrt(norm);
}

test("eigenvalues of the second difference matrix are 2 - 2 cos(k pi / (n + 1))", () => {
  const size = 40;
  const matrix = Float64Array.from({ length: size * size }, (_, at) => {
    const offset = Math.abs(Math.floor(at / size) - (at % size));
    return offset === 0 ? 2 : offset === 1 ? -1 : 0;
  });
  const expected = Float64Array.from({ length: size }, (_, k) => 2 - 2 * Math.cos(((k + 1) * Math.PI) / (size + 1)));
  assert.close(symmetricEigenvalues(matrix, size), expected, 1e-13);
});

test("eigenvalues of a reflected spectrum are that spectrum, repeated and zero values included", () => {
  const size = 24;
  const spectrum = Float64Array.from({ length: size }, (_, i) => (i < 6 ? 0 : i < 12 ? 3 : i - 30)).sort();
  let matrix: Float64Array = new Float64Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = spectrum[i]!;
  for (let turn = 0; turn < 3; turn++) {
    const v = normals({ seed: turn, stream: "reflection", length: size });
    const norm = v.reduce((sum, value) => sum + value * value, 0);
    const reflection = Float64Array.from(
      { length: size * size },
      (_, at) => (at % (size + 1) === 0 ? 1 : 0) - (2 * v[Math.floor(at / size)]! * v[at % size]!) / norm,
    );
    matrix = multiply(multiply(reflection, matrix, size), reflection, size);
  }
  assert.close(symmetricEigenvalues(matrix, size), spectrum, 1e-12);
});

test("a matrix with NaN is refused", () => {
  assert.throws(() => symmetricEigenvalues(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2), /NaN/);
});

test("the pivoted factor rebuilds a singular matrix and finds its rank", () => {
  const [size, rank] = [12, 5];
  const b = normals({ seed: 1, stream: "factor", length: size * rank });
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) for (let k = 0; k < rank; k++) matrix[i * size + j]! += b[i * rank + k]! * b[j * rank + k]!;
  const found = semidefiniteFactor(matrix, size);
  assert.is(found.rank, rank);
  const rebuilt = matrix.map((_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += found.factor[i * rank + k]! * found.factor[j * rank + k]!;
    return sum;
  });
  assert.close(rebuilt, matrix, 1e-12);
});

test("diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2", () => {
  const first = gaussian([1, 2, 3], [4, 0, 0, 0, 9, 0, 0, 0, 0]);
  const second = gaussian([1, 0, 2], [1, 0, 0, 0, 16, 0, 0, 0, 25]);
  assert.close(frechetDistance(first, second), 4 + 1 + 1 + 1 + 25, 1e-12);
});

test("two dimensions: a worked example with covariances that do not commute", () => {
  // tr (A B)^1/2 of a 2x2 product is sqrt(tr AB + 2 sqrt(det AB)): A = [2 1; 1 2], B = diag(1, 4) give 10 and 12.
  const distance = frechetDistance(gaussian([0, 0], [2, 1, 1, 2]), gaussian([0, 0], [1, 0, 0, 4]));
  assert.close(distance, 4 + 5 - 2 * Math.sqrt(10 + 2 * Math.sqrt(12)), 1e-12);
});

test("random covariances agree with the Newton-Schulz square root", () => {
  const size = 20;
  const mean = new Float64Array(size);
  for (const seed of [1, 2, 3]) {
    const [a, b] = [positive(size, seed), positive(size, seed + 100)];
    const expected = trace(a, size) + trace(b, size) - 2 * traceOfRoot(a, b, size);
    const distance = frechetDistance({ mean, covariance: a }, { mean, covariance: b });
    assert.close(distance, expected, 1e-9);
    assert.close(frechetDistance({ mean, covariance: b }, { mean, covariance: a }), distance, 1e-10);
    assert.close(frechetDistance({ mean, covariance: a }, { mean, covariance: a }), 0, 1e-10);
  }
});

test("streamed statistics equal the two-pass definition, far from the origin too", () => {
  const [rows, dimension] = [50, 4];
  const features = Float32Array.from(
    uniforms({ seed: 3, stream: "statistics", length: rows * dimension }),
    (value, at) => 1000 * (at % dimension) + value,
  );
  const statistics = runningStatistics(dimension);
  for (let row = 0; row < rows; row += 7) {
    statistics.add(features.subarray(row * dimension, Math.min(row + 7, rows) * dimension));
  }
  const { count, mean, covariance } = statistics.result();
  assert.is(count, rows);
  for (let i = 0; i < dimension; i++) {
    const column = (of: number) => Array.from({ length: rows }, (_, row) => features[row * dimension + of]!);
    const average = (values: number[]) => values.reduce((a, b) => a + b, 0) / rows;
    assert.close(mean[i]!, average(column(i)), 1e-10);
    for (let j = 0; j < dimension; j++) {
      const centred = column(i).map((v, row) => (v - average(column(i))) * (column(j)[row]! - average(column(j))));
      assert.close(covariance[i * dimension + j]!, (average(centred) * rows) / (rows - 1), 1e-10);
    }
  }
});

test("samples of two known Gaussians are found at their distance", () => {
  const [rows, dimension] = [20_000, 3];
  const fit = (seed: number, scale: number, offset: number) => {
    const statistics = runningStatistics(dimension);
    statistics.add(normals({ seed, stream: "samples", length: rows * dimension }).map((v) => v * scale + offset));
    return statistics.result();
  };
  assert.close(frechetDistance(fit(1, 1, 0), fit(2, 2, 0.5)), dimension * (1 + 0.25), 0.2);
});

test("512 dimensions, dense and commuting", () => {
  const size = 512;
  const diagonal = uniforms({ seed: 5, stream: "large", length: size });
  // Householder-reflected diagonals: dense, commuting, with a known answer.
  const v = normals({ seed: 6, stream: "large", length: size });
  const norm = v.reduce((sum, value) => sum + value * value, 0);
  const reflected = (values: Float64Array) => {
    const weighted = v.map((value, i) => value * values[i]!);
    const energy = weighted.reduce((sum, value, i) => sum + value * v[i]!, 0);
    const matrix = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        const crossed = (2 * (v[i]! * weighted[j]! + weighted[i]! * v[j]!)) / norm;
        matrix[i * size + j] = (i === j ? values[i]! : 0) - crossed + (4 * energy * v[i]! * v[j]!) / norm ** 2;
      }
    }
    return matrix;
  };
  const mean = new Float64Array(size);
  const first = reflected(diagonal);
  const second = reflected(diagonal.map((value, i) => (i % 2 ? 0.3 : 4 * value)));
  const expected = diagonal.reduce((sum, s, i) => sum + (Math.sqrt(s) - Math.sqrt(i % 2 ? 0.3 : 4 * s)) ** 2, 0);
  const distance = frechetDistance({ mean, covariance: first }, { mean, covariance: second });
  assert.close(distance, expected, 1e-4);
});

test.run();

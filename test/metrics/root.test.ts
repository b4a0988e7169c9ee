import { frechetDistance } from "../../models/metrics/frechet.ts";
import { assert, suite } from "../harness.ts";

/**
 * The distance of zero-mean Gaussians at 80 digits: |S1 - S2|-type traces by mpmath's eigsy, root of S1 by its
 * eigenvectors, eigenvalues of S1^1/2 S2 S1^1/2. The matrices are the very doubles that are built here.
 */
const test = suite("Fréchet distance against 80 digits");

const build = (size: number, of: (i: number, j: number) => number) =>
  Float64Array.from({ length: size * size }, (_, at) => of(Math.floor(at / size), at % size));
const hilbert = (size: number) => build(size, (i, j) => 1 / (i + j + 1)); // condition 1.7e16 at 12
const lehmer = (size: number) => build(size, (i, j) => (Math.min(i, j) + 1) / (Math.max(i, j) + 1));
const ladder = (size: number) => build(size, (i, j) => Math.min(i, j) + 1);
const graded = (size: number) => build(size, (i, j) => lehmer(size)[i * size + j]! * 2 ** (-2 * (i + j))); // 1 to 2^-44
/** Whole numbers, exact, of rank `rank`. */
function gram(size: number, rank: number, prime: number): Float64Array {
  const entry = (i: number, k: number) => ((i + 2) ** (k + 1) % prime) - Math.floor(prime / 2);
  return build(size, (i, j) => Array.from({ length: rank }, (_, k) => entry(i, k) * entry(j, k)).reduce((a, b) => a + b, 0));
}

const near = lehmer(12).map((value, at) => value + hilbert(12)[at]! * 2 ** -20);

// Rounding of a singular matrix moves its root by the root of that: some 1e-8 of the scale is what doubles can tell.
const cases: [name: string, first: Float64Array, second: Float64Array, expected: number, tolerance: number][] = [
  ["well conditioned", lehmer(12), ladder(12), 32.36122836243245, 1e-12],
  ["ill conditioned against well", hilbert(12), lehmer(12), 6.29688604311258, 1e-7],
  ["ill conditioned against another scale", hilbert(12), ladder(12), 62.72572126432672, 1e-7],
  ["rank 4 against rank 5", gram(12, 4, 17), gram(12, 5, 19), 855.8880780432079, 1e-10],
  ["rank 4 against full rank", gram(12, 4, 17), lehmer(12), 1064.854023464154, 1e-5],
  ["rank 4 against itself", gram(12, 4, 17), gram(12, 4, 17), 0, 1e-10],
  ["graded over 2^44", graded(12), lehmer(12), 10.400000158945716, 1e-7],
  ["graded against ill conditioned", graded(12), hilbert(12), 0.9814925850509848, 1e-7],
  ["nearly equal: a difference of 3e-13 between traces of 24", lehmer(12), near, 3.098481788945596e-13, 1e-12],
  ["30 dimensions, 18 of them lost in rounding", hilbert(30), lehmer(30), 20.046567943688448, 3e-7],
];

for (const [name, first, second, expected, tolerance] of cases) {
  test(name, () => {
    const mean = new Float64Array(Math.sqrt(first.length));
    const [a, b] = [
      { mean, covariance: first },
      { mean, covariance: second },
    ];
    assert.close(frechetDistance(a, b), expected, tolerance, "there");
    assert.close(frechetDistance(b, a), expected, tolerance, "back");
  });
}

test.run();

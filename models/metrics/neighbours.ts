/**
 * Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2). Precision: the share of fakes that lie inside
 * the ball of at least one real, whose radius is that real's distance to its k-th nearest other real; recall is the
 * same with the roles exchanged.
 *
 * `real` and `fake` are features [rows, dimension]; both need more than k rows. Time grows with the square of the rows,
 * memory is two numbers a row.
 */
export function precisionRecall({
  real,
  fake,
  dimension,
  k = 3,
}: {
  real: Float32Array;
  fake: Float32Array;
  dimension: number;
  k?: number;
}): { precision: number; recall: number } {
  const realRadii = squaredRadii(real, dimension, k);
  const fakeRadii = squaredRadii(fake, dimension, k);
  const fakeInside = new Uint8Array(fakeRadii.length);
  const realInside = new Uint8Array(realRadii.length);
  forEachDistance(real, fake, dimension, false, (i, j, squared) => {
    if (squared <= realRadii[i]!) fakeInside[j] = 1;
    if (squared <= fakeRadii[j]!) realInside[i] = 1;
  });
  return { precision: share(fakeInside), recall: share(realInside) };
}

/** Squared distance [rows] of every row to its k-th nearest other row. */
export function squaredRadii(features: Float32Array, dimension: number, k: number): Float64Array {
  const rows = features.length / dimension;
  if (rows <= k) throw new RangeError(`${rows} rows have no ${k}-th nearest neighbour: at least ${k + 1} are needed`);
  const nearest = new Float64Array(rows * k).fill(Number.POSITIVE_INFINITY); // ascending in each row
  const offer = (row: number, squared: number) => {
    let at = row * k + k - 1;
    if (squared >= nearest[at]!) return;
    for (; at > row * k && nearest[at - 1]! > squared; at--) nearest[at] = nearest[at - 1]!;
    nearest[at] = squared;
  };
  forEachDistance(features, features, dimension, true, (i, j, squared) => {
    offer(i, squared);
    offer(j, squared);
  });
  return Float64Array.from({ length: rows }, (_, row) => nearest[row * k + k - 1]!);
}

const BLOCK = 32; // rows of `b` that stay in the cache while four rows of `a` pass over them

/**
 * Visits the squared Euclidean distance of every pair of rows, or of every unordered pair i < j with `once`.
 * Differences are taken before squaring: the expanded form cancels for near duplicates, which is what one looks for.
 */
function forEachDistance(
  a: Float32Array,
  b: Float32Array,
  dimension: number,
  once: boolean,
  visit: (i: number, j: number, squared: number) => void,
): void {
  const rowsA = a.length / dimension;
  const rowsB = b.length / dimension;
  for (let block = 0; block < rowsB; block += BLOCK) {
    const end = Math.min(block + BLOCK, rowsB);
    for (let i = 0; i < (once ? end : rowsA); i += 4) {
      const count = Math.min(4, rowsA - i);
      const row0 = i * dimension;
      const row1 = count > 1 ? row0 + dimension : row0;
      const row2 = count > 2 ? row1 + dimension : row0;
      const row3 = count > 3 ? row2 + dimension : row0;
      for (let j = block; j < end; j++) {
        if (once && j <= i) continue;
        const start = j * dimension;
        let sum0 = 0;
        let sum1 = 0;
        let sum2 = 0;
        let sum3 = 0;
        for (let at = 0; at < dimension; at++) {
          const value = b[start + at]!;
          const d0 = a[row0 + at]! - value;
          const d1 = a[row1 + at]! - value;
          const d2 = a[row2 + at]! - value;
          const d3 = a[row3 + at]! - value;
          sum0 += d0 * d0;
          sum1 += d1 * d1;
          sum2 += d2 * d2;
          sum3 += d3 * d3;
        }
        visit(i, j, sum0);
        if (count > 1 && !(once && j <= i + 1)) visit(i + 1, j, sum1);
        if (count > 2 && !(once && j <= i + 2)) visit(i + 2, j, sum2);
        if (count > 3 && !(once && j <= i + 3)) visit(i + 3, j, sum3);
      }
    }
  }
}

function share(flags: Uint8Array): number {
  return flags.reduce((sum, flag) => sum + flag, 0) / flags.length;
}

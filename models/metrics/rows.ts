/** Rows of features made ready for fast distances: |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, the products many at a time. */

/** Dot products [rowsA, rowsB] of all rows of a [rowsA, dimension] with all of b [rowsB, dimension], row-major. */
export type Products = (a: Float32Array, b: Float32Array) => Promise<Float32Array>;

/** Features [count, dimension] as they are, and the same around a common centre with their squared norms. */
export interface Rows {
  features: Float32Array;
  centred: Float32Array;
  squares: Float64Array; // |centred row|^2
  count: number;
  dimension: number;
}

/** Prepares features. Both sides of a distance need the same `centre`; near it the expanded form cancels least. */
export function prepareRows({
  features,
  dimension,
  centre,
}: {
  features: Float32Array;
  dimension: number;
  centre: ArrayLike<number>;
}): Rows {
  const count = features.length / dimension;
  if (!Number.isInteger(count)) throw new RangeError(`${features.length} values are not rows of ${dimension}`);
  const centred = new Float32Array(features.length);
  const squares = new Float64Array(count);
  for (let row = 0, at = 0; row < count; row++) {
    let sum = 0;
    for (let i = 0; i < dimension; i++, at++) {
      const value = Math.fround(features[at]! - centre[i]!);
      centred[at] = value;
      sum += value * value;
    }
    squares[row] = sum;
  }
  return { features, centred, squares, count, dimension };
}

/** The centre of features [rows, dimension]: their mean, as float32. */
export function centreOf(features: Float32Array, dimension: number): Float32Array {
  const sum = new Float64Array(dimension);
  for (let at = 0; at < features.length; ) for (let i = 0; i < dimension; i++, at++) sum[i]! += features[at]!;
  return Float32Array.from(sum, (value) => (value * dimension) / features.length);
}

/** Squared distance of two rows, differences taken before squaring: exact to double rounding, near duplicates included. */
export function squaredDistance(a: Rows, i: number, b: Rows, j: number): number {
  const { dimension } = a;
  let sum = 0;
  for (let k = 0, p = i * dimension, q = j * dimension; k < dimension; k++, p++, q++) {
    const difference = a.features[p]! - b.features[q]!;
    sum += difference * difference;
  }
  return sum;
}

/**
 * How far |a|^2 + |b|^2 - 2 a.b from float32 products may be from the truth, as a share of |a|^2 + |b|^2: the bound of a
 * sum of `dimension` products in any order (Higham, Accuracy and Stability, 3.5), with room for the centring.
 */
export function slackOf(dimension: number): number {
  return (dimension + 16) * 2 ** -24;
}

/** Products in plain JavaScript: for tests, and for sets too small to be worth a compiled program. */
export function plainProducts(dimension: number): Products {
  return async (a, b) => {
    const [rowsA, rowsB] = [a.length / dimension, b.length / dimension];
    const result = new Float32Array(rowsA * rowsB);
    for (let i = 0, at = 0; i < rowsA; i++) {
      for (let j = 0; j < rowsB; j++, at++) {
        let sum = 0;
        for (let k = 0, p = i * dimension, q = j * dimension; k < dimension; k++, p++, q++) sum += a[p]! * b[q]!;
        result[at] = sum;
      }
    }
    return result;
  };
}

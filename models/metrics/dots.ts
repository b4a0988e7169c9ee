const DEPTH = 512; // columns taken at a stretch: six rows of them stay in the fastest cache

/**
 * Adds the dot products of all rows of a [rowsA, depth] with all of b [rowsB, depth] to `target` [rowsA, rowsB], in
 * float64; with `lower` only those with row of a >= row of b, and a few above. Tiles of 4 by 2 sums stay in registers.
 */
export function addDots(options: { a: Float64Array; b: Float64Array; depth: number; target: Float64Array; lower?: boolean }): void {
  const { a, b, depth, target, lower = false } = options;
  const rowsA = a.length / depth;
  const rowsB = b.length / depth;
  for (let from = 0; from < depth; from += DEPTH) {
    const length = Math.min(DEPTH, depth - from);
    for (let i = 0; i < rowsA; i += 4) {
      const end = lower ? Math.min(i + 4, rowsB) : rowsB;
      for (let j = 0; j < end; j += 2) addTile(a, b, depth, target, i, j, rowsA, rowsB, from, length);
    }
  }
}

/** Rows beyond the last are read as the last again, and their sums dropped. */
function addTile(
  a: Float64Array,
  b: Float64Array,
  depth: number,
  target: Float64Array,
  i: number,
  j: number,
  rowsA: number,
  rowsB: number,
  from: number,
  length: number,
): void {
  const a0 = i * depth + from;
  const a1 = Math.min(i + 1, rowsA - 1) * depth + from;
  const a2 = Math.min(i + 2, rowsA - 1) * depth + from;
  const a3 = Math.min(i + 3, rowsA - 1) * depth + from;
  const b0 = j * depth + from;
  const b1 = Math.min(j + 1, rowsB - 1) * depth + from;
  let [s00, s01, s10, s11, s20, s21, s30, s31] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < length; k++) {
    const y0 = b[b0 + k]!;
    const y1 = b[b1 + k]!;
    const x0 = a[a0 + k]!;
    s00 += x0 * y0;
    s01 += x0 * y1;
    const x1 = a[a1 + k]!;
    s10 += x1 * y0;
    s11 += x1 * y1;
    const x2 = a[a2 + k]!;
    s20 += x2 * y0;
    s21 += x2 * y1;
    const x3 = a[a3 + k]!;
    s30 += x3 * y0;
    s31 += x3 * y1;
  }
  const put = (row: number, first: number, second: number) => {
    if (row >= rowsA) return;
    target[row * rowsB + j]! += first;
    if (j + 1 < rowsB) target[row * rowsB + j + 1]! += second;
  };
  put(i, s00, s01);
  put(i + 1, s10, s11);
  put(i + 2, s20, s21);
  put(i + 3, s30, s31);
}

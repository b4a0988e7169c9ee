/** Which elements of an axis its resized form takes, with which weights: the rules of TensorFlow.js's CPU backend. */

export interface Resized {
  from: number;
  to: number;
  /** The first and last elements stay where they are. */
  alignCorners?: boolean;
  /** Elements are areas with a centre, not points. */
  halfPixelCenters?: boolean;
}

/** Old elements a new one is apart. */
const ratio = ({ from, to, alignCorners }: Resized): number => (alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to);

/** Linear interpolation as a matrix [to, from]; every row sums to 1. */
export function interpolation(resized: Resized): Float32Array {
  const { from, to, halfPixelCenters } = resized;
  const matrix = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const source = halfPixelCenters ? ratio(resized) * (i + 0.5) - 0.5 : ratio(resized) * i;
    const floor = Math.max(0, Math.floor(source));
    const ceiling = Math.min(from - 1, Math.ceil(source));
    const share = source - floor;
    for (const [at, weight] of [
      [floor, 1 - share],
      [ceiling, share],
    ] as const) {
      matrix[i * from + at] = (matrix[i * from + at] as number) + weight;
    }
  }
  return matrix;
}

/** The old element each new one takes. */
export function nearest(resized: Resized): number[] {
  const { from, to, alignCorners, halfPixelCenters } = resized;
  return Array.from({ length: to }, (_, i) => {
    const source = ratio(resized) * (halfPixelCenters ? i + 0.5 : i);
    const place = Math.min(from - 1, alignCorners ? Math.round(source) : Math.floor(source));
    return halfPixelCenters ? Math.max(0, place) : place;
  });
}

/** The matrix [to, from] of ones and zeros that takes what `nearest` takes. */
export function selection(resized: Resized): Float32Array {
  const matrix = new Float32Array(resized.to * resized.from);
  for (const [i, place] of nearest(resized).entries()) matrix[i * resized.from + place] = 1;
  return matrix;
}

import { type ImageSize, sidesOf } from "../../schemas/images.ts";

/** The filter below by name. Printed with every distance: another filter gives another one (Parmar et al. 2022). */
export const RESIZE_FILTER = "bicubic, antialiased (a=-0.5)";

/**
 * Plans the resizing of RGB images [height, width, 3], bytes, to floats 0..255 of another size, a square's side or [height, width].
 * Separable Catmull-Rom cubic, widened by the scale when shrinking so that nothing aliases, with Pillow's sample positions and edge
 * handling; in floating point, clamped but not rounded. An image that has the size already only changes type.
 */
export function planResize({
  height,
  width,
  size,
}: {
  height: number;
  width: number;
  size: ImageSize;
}): (pixels: Uint8Array) => Float32Array {
  const [high, wide] = sidesOf(size);
  if (height === high && width === wide) return (pixels) => Float32Array.from(pixels);
  const rows = cubicTaps(height, high);
  const columns = cubicTaps(width, wide);
  return (pixels) => {
    const narrow = new Float32Array(height * wide * 3);
    for (let y = 0, at = 0; y < height; y++) {
      for (const { first, weights } of columns) {
        for (let channel = 0; channel < 3; channel++) {
          let sum = 0;
          for (let i = 0; i < weights.length; i++) sum += weights[i]! * pixels[(y * width + first + i) * 3 + channel]!;
          narrow[at++] = sum;
        }
      }
    }
    const result = new Float32Array(high * wide * 3);
    const stride = wide * 3;
    for (const [y, { first, weights }] of rows.entries()) {
      for (let x = 0; x < stride; x++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i]! * narrow[(first + i) * stride + x]!;
        result[y * stride + x] = Math.min(Math.max(sum, 0), 255);
      }
    }
    return result;
  };
}

/**
 * The same filter as a matrix [from, to]: a row of `from` samples times it is the row of `to` samples, before clamping. What
 * is traced resizes by it, since products have gradients.
 */
export function resizeMatrix(from: number, to: number): Float32Array {
  const matrix = new Float32Array(from * to);
  for (const [column, { first, weights }] of cubicTaps(from, to).entries()) {
    for (const [i, weight] of weights.entries()) matrix[(first + i) * to + column] = weight;
  }
  return matrix;
}

/** For each of `to` output samples: the first input sample it reads and the weights, which add up to 1. */
function cubicTaps(from: number, to: number): { first: number; weights: Float64Array }[] {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(Math.floor(centre - 2 * stretch + 0.5), 0);
    const end = Math.min(Math.floor(centre + 2 * stretch + 0.5), from);
    const weights = Float64Array.from({ length: end - first }, (_, i) => cubic((first + i + 0.5 - centre) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Keys (1981) with a = -1/2. */
function cubic(offset: number): number {
  const x = Math.abs(offset);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

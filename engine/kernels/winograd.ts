/**
 * 3x3 convolutions by the minimal filtering algorithm of Winograd, F(4x4, 3x3) (Lavin & Gray 2016, "Fast Algorithms for
 * Convolutional Neural Networks"): squares of 4x4 outputs from 6x6 inputs with 36 products in place of 144.
 *
 * With D the inputs of a square, K the kernel and Y its outputs, Y = A' [(G K G') * (B' D B)] A, summed over channels. All
 * squares and channels are transformed at once by one product with a Kronecker square of A, B or G, so that everything is a
 * matrix product along contiguous channels. Gradients use the same three matrices, transposed.
 */
import type { Graph, Value } from "../graph.ts";
import { batchProduct } from "./matrix.ts";
import { pad, reshape, slice, transpose } from "./shape.ts";
import { elements } from "../weights.ts";

const [OUT, TAPS] = [4, 3];
const IN = OUT + TAPS - 1;

/**
 * Points of interpolation, with infinity. Of a grid of them these have the least rounding error: 7.8e-7 of the result at
 * 64 channels, against 1.8e-6 for 0, 1, -1, 2, -2.
 */
const POINTS = [0, 0.625, -0.625, 1.5625, -1.5625];

type Matrix = number[][];

/** Coefficients, constant first, of the polynomial with the given roots. */
function polynomial(roots: number[]): number[] {
  let c = [1];
  for (const root of roots) c = [...c, 0].map((_, i) => (c[i - 1] ?? 0) - root * (c[i] ?? 0));
  return c;
}

const transposed = (m: Matrix): Matrix => (m[0] as number[]).map((_, j) => m.map((row) => row[j] as number));

/** The matrix that acts on both axes of a square laid out as a vector. */
const square = (m: Matrix): Matrix => m.flatMap((a) => m.map((b) => a.flatMap((x) => b.map((y) => x * y))));

const others = (j: number): number[] => POINTS.filter((_, i) => i !== j);
const last = (length: number): number[] => Array.from({ length }, (_, i) => (i === length - 1 ? 1 : 0));
const powers = (p: number, length: number): number[] => Array.from({ length }, (_, i) => p ** i);

const OUTPUT = square(transposed([...POINTS.map((p) => powers(p, OUT)), last(OUT)])); // [16, 36]
const INPUT = square([...POINTS.map((_, j) => [...polynomial(others(j)), 0]), polynomial(POINTS)]); // [36, 36]
const KERNEL = square([
  ...POINTS.map((p, j) => powers(p, TAPS).map((x) => x / others(j).reduce((product, q) => product * (p - q), 1))),
  last(TAPS),
]); // [36, 9]
const TURNED = KERNEL.map((row) => row.toReversed()); // of a kernel turned round
const OUTPUT_BACK = transposed(OUTPUT);
const KERNEL_BACK = transposed(KERNEL);

/** `matrix` times x [columns of the matrix, ...]. */
function apply(graph: Graph, matrix: Matrix, x: Value): Value {
  const [rows, columns] = [matrix.length, (matrix[0] as number[]).length];
  const constant: Value = { shape: [rows, columns], dtype: "float32", constant: Float32Array.from(matrix.flat()) };
  const y = graph.add(
    "MatMul",
    [constant, reshape(graph, x, [columns, elements(x.shape) / columns])],
    [rows, elements(x.shape) / columns],
    "float32",
  );
  return reshape(graph, y, [rows, ...x.shape.slice(1)]);
}

/** A convolution of stride 1: output pixel (y, x) sees input rows y - top .. y - top + 2, columns likewise. */
export interface Window {
  batch: number;
  /** Output size. */
  height: number;
  width: number;
  top: number;
  left: number;
}

const squares = ({ batch, height, width }: Window): [number, number, number] => [batch, Math.ceil(height / OUT), Math.ceil(width / OUT)];

/**
 * Whether the algorithm pays: enough channels to carry the transforms, little of the squares beyond the image, and, where a
 * frozen kernel is transformed in every run, enough squares to carry that.
 */
export function pays(window: Window, kernel: { inputs: number; outputs: number; unfolded?: boolean }): boolean {
  const [batch, rows, columns] = squares(window);
  const covered = rows * columns * OUT * OUT;
  if (kernel.unfolded && batch * rows * columns < LEAST_SQUARES) return false;
  return Math.min(kernel.inputs, kernel.outputs) >= LEAST_CHANNELS && covered <= 1.3 * window.height * window.width;
}
const LEAST_CHANNELS = 32;
const LEAST_SQUARES = 64;

/** The transformed 6x6 neighbourhoods of x [b, h, w, c]: [36, squares, c]. */
function inputSquares(graph: Graph, x: Value, window: Window): Value {
  const [batch, rows, columns] = squares(window);
  const [, height, width, channels] = x.shape as [number, number, number, number];
  const [tall, wide] = [rows * OUT + TAPS - 1, columns * OUT + TAPS - 1];
  const after = [0, tall - height - window.top, wide - width - window.left, 0];
  const padded = pad(graph, x, [0, window.top, window.left, 0], after);
  const at: number[] = [];
  for (let i = 0; i < IN * IN; i++) {
    for (let b = 0; b < batch; b++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          at.push((b * tall + row * OUT + Math.floor(i / IN)) * wide + column * OUT + (i % IN));
        }
      }
    }
  }
  const shape = [IN * IN, batch * rows * columns];
  const pixels = reshape(graph, padded, [batch * tall * wide, channels]);
  const taken = graph.add("Gather", [pixels, graph.indices(shape, at)], [...shape, channels], "float32", { axis: 0 });
  return apply(graph, INPUT, taken);
}

/** Squares [16, squares, c] put together: [b, height, width, c]. */
function assemble(graph: Graph, y: Value, window: Window): Value {
  const [batch, rows, columns] = squares(window);
  const channels = y.shape[2] as number;
  const split = reshape(graph, y, [OUT, OUT, batch, rows, columns, channels]);
  const whole = reshape(graph, transpose(graph, split, [2, 3, 0, 4, 1, 5]), [batch, rows * OUT, columns * OUT, channels]);
  return slice(graph, whole, [0, 0, 0, 0], [batch, window.height, window.width, channels]);
}

/** x [b, h, w, in] convolved with `kernel` [3, 3, in, out]: [b, height, width, out]. */
export function convolution(graph: Graph, x: Value, kernel: Value, window: Window): Value {
  const [inputs, outputs] = kernel.shape.slice(2) as [number, number];
  const d = inputSquares(graph, x, window);
  const k = reshape(graph, apply(graph, KERNEL, reshape(graph, kernel, [TAPS * TAPS, inputs, outputs])), [IN * IN, inputs, outputs]);
  const product = batchProduct(graph, d, k, [IN * IN, d.shape[1] as number, outputs], false, false);
  return assemble(graph, apply(graph, OUTPUT, product), window);
}

/** The gradient by x of a convolution whose output gradient is dy [b, h, w, out]; `window` is that of x seen from dy. */
export function inputGradient(graph: Graph, dy: Value, kernel: Value, window: Window): Value {
  const [inputs, outputs] = kernel.shape.slice(2) as [number, number];
  const d = inputSquares(graph, dy, window);
  const k = apply(graph, TURNED, reshape(graph, kernel, [TAPS * TAPS, inputs, outputs]));
  const product = batchProduct(graph, d, k, [IN * IN, d.shape[1] as number, inputs], false, true);
  return assemble(graph, apply(graph, OUTPUT, product), window);
}

/** The gradient by the kernel [3, 3, in, out], given x [b, h, w, in] and dy [b, height, width, out]. */
export function kernelGradient(graph: Graph, x: Value, dy: Value, window: Window): Value {
  const [batch, rows, columns] = squares(window);
  const [inputs, outputs] = [x.shape[3] as number, dy.shape[3] as number];
  const d = inputSquares(graph, x, window);
  const whole = pad(graph, dy, [0, 0, 0, 0], [0, rows * OUT - window.height, columns * OUT - window.width, 0]);
  const split = transpose(graph, reshape(graph, whole, [batch, rows, OUT, columns, OUT, outputs]), [2, 4, 0, 1, 3, 5]);
  const m = apply(graph, OUTPUT_BACK, reshape(graph, split, [OUT * OUT, batch * rows * columns, outputs]));
  const product = batchProduct(graph, d, m, [IN * IN, inputs, outputs], true, false);
  return reshape(graph, apply(graph, KERNEL_BACK, product), [TAPS, TAPS, inputs, outputs]);
}

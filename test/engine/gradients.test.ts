/** First and second derivatives against central differences of the same formulas written in float64. */
import { createEngine } from "../../engine/engine.ts";
import { layerNorm, swish } from "../../engine/ops.ts";
import { tf, type Tensor, type Tensor4D } from "../../engine/tfjs.ts";
import { groupNorm, selfAttention } from "../../models/layers.ts";
import { assert, suite } from "../harness.ts";
import { sample } from "./parity.ts";

const test = suite("gradients");

type Vector = number[];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const mean = (v: Vector): number => v.reduce((a, b) => a + b, 0) / v.length;
const standardise = (v: Vector): Vector => {
  const m = mean(v);
  const deviation = Math.sqrt(mean(v.map((x) => (x - m) ** 2)) + 1e-5);
  return v.map((x) => (x - m) / deviation);
};
const softmax = (v: Vector): Vector => {
  const e = v.map(Math.exp);
  return e.map((x) => x / e.reduce((a, b) => a + b, 0));
};
/** Applies f to each run of `length` numbers. */
const byRow =
  (length: number, f: (v: Vector) => Vector) =>
  (v: Vector): Vector =>
    Array.from({ length: v.length / length }, (_, i) => f(v.slice(i * length, (i + 1) * length))).flat();

/** Group normalisation of [1, 2, 2, 4] in two groups: channels 0-1 and 2-3 of all four pixels. */
function groups(v: Vector): Vector {
  const result = [...v];
  for (const group of [0, 1]) {
    const at = v.map((_, i) => i).filter((i) => (i % 4) >> 1 === group);
    for (const [k, value] of standardise(at.map((i) => v[i] as number)).entries()) result[at[k] as number] = value;
  }
  return result.map((x, i) => x * SCALE[i % 4]! + BIAS[i % 4]!);
}
const SCALE = [0.5, -1, 2, 1.5];
const BIAS = [0.1, 0, -0.3, 1];

/** Self-attention of [1, 3, 4] with two heads of two channels. */
const kernels = { qkv: sample("qkv", [4, 12], [-1, 1]), out: sample("out", [4, 4], [-1, 1]) };
function attend(v: Vector): Vector {
  const product = (row: Vector, matrix: Float32Array, columns: number): Vector =>
    Array.from({ length: columns }, (_, j) => row.reduce((sum, x, i) => sum + x * matrix[i * columns + j]!, 0));
  const rows = [0, 1, 2].map((i) => product(v.slice(4 * i, 4 * i + 4), kernels.qkv, 12));
  return rows.flatMap((row) => {
    const joined = [0, 1].flatMap((head) => {
      const part = (r: Vector, which: number): Vector => r.slice(4 * which + 2 * head, 4 * which + 2 * head + 2);
      const [q0, q1] = part(row, 0) as [number, number];
      const weights = softmax(rows.map((r) => (q0 * part(r, 1)[0]! + q1 * part(r, 1)[1]!) / Math.SQRT2));
      return [0, 1].map((c) => weights.reduce((sum, w, j) => sum + w * part(rows[j]!, 2)[c]!, 0));
    });
    return product(joined, kernels.out, 4);
  });
}

/** erf by its power series, exact to double precision for |x| <= 2. */
function erf(x: number): number {
  let [sum, term] = [x, x];
  for (let n = 1; n < 60; n++) sum += (term *= (-x * x) / n) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Windows over the rows and columns of an image [h, w]: elements under each, those outside left out. */
const windows = (v: Vector, [h, w]: [number, number], [size, stride, before, out]: [number, number, number, number]): Vector[] =>
  Array.from({ length: out * out }, (_, place) => {
    const [top, left] = [Math.floor(place / out) * stride - before, (place % out) * stride - before];
    return v.filter((_x, i) => {
      const [y, x] = [Math.floor(i / w) - top, (i % w) - left];
      return i < h * w && y >= 0 && y < size && x >= 0 && x < size;
    });
  });

/** A line resized to `to` points by its neighbours' shares, with the points at the centres of their cells. */
const resized = (v: Vector, to: number): Vector =>
  Array.from({ length: to }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * v.length) / to - 0.5, 0), v.length - 1);
    const [low, high] = [Math.floor(at), Math.ceil(at)];
    return v[low]! + (v[high]! - v[low]!) * (at - low);
  });
const image = (x: Tensor): Tensor4D => tf.reshape(x, [1, 1, -1, 1]) as Tensor4D;
const TAPS = [0.5, -1, 2];
const taps = (): Tensor4D => tf.tensor4d(TAPS, [1, 3, 1, 1]);
/** The line convolved with TAPS, `dilation` apart, where they fit. */
const convolved = (v: Vector, dilation: number): Vector =>
  Array.from({ length: v.length - 2 * dilation }, (_, i) => TAPS.reduce((sum, w, k) => sum + w * v[i + k * dilation]!, 0));
const total = (v: Vector): number => v.reduce((a, b) => a + b, 0);
const squares = (v: Vector): Vector => v.map((x) => x * x);
const products = (v: Vector): Vector => v.map((_, i) => v.slice(0, i + 1).reduce((a, b) => a * b, 1));
const INDICES = [3, 0, 3];

interface Formula {
  tensor: (x: Tensor) => Tensor;
  exact: (v: Vector) => Vector;
  shape?: number[];
  range?: readonly [number, number];
}
const each = (tensor: (x: Tensor) => Tensor, exact: (x: number) => number, range?: readonly [number, number]): Formula => ({
  tensor,
  exact: (v) => v.map(exact),
  ...(range && { range }),
});

const formulas: Record<string, Formula> = {
  tanh: each(tf.tanh, Math.tanh),
  exp: each(tf.exp, Math.exp),
  sigmoid: each(tf.sigmoid, sigmoid),
  softplus: each(tf.softplus, (x) => Math.log1p(Math.exp(x))),
  square: each(tf.square, (x) => x * x),
  sqrt: each(tf.sqrt, Math.sqrt, [0.5, 3]),
  rsqrt: each(tf.rsqrt, (x) => 1 / Math.sqrt(x), [0.5, 3]),
  log: each(tf.log, Math.log, [0.5, 3]),
  reciprocal: each(tf.reciprocal, (x) => 1 / x, [0.5, 3]),
  quotient: each(
    (x) => tf.div(tf.sin(x), tf.add(x, 3)),
    (x) => Math.sin(x) / (x + 3),
  ),
  elu: each(tf.elu, (x) => (x > 0 ? x : Math.expm1(x))),
  silu: each(swish, (x) => x * sigmoid(x)),
  gelu: each(
    (x) => swish(x, 1.702),
    (x) => x * sigmoid(1.702 * x),
  ),
  "leaky relu": each(
    (x) => tf.square(tf.leakyRelu(x, 0.2)),
    (x) => (x > 0 ? x : 0.2 * x) ** 2,
  ),
  where: each(
    (x) => tf.where(tf.greater(x, 0), tf.sin(x), tf.square(x)),
    (x) => (x > 0 ? Math.sin(x) : x * x),
  ),
  maximum: each(
    (x) => tf.square(tf.maximum(x, 0.3)),
    (x) => Math.max(x, 0.3) ** 2,
  ),
  softmax: { tensor: (x) => tf.softmax(x), exact: byRow(4, softmax) },
  "tf.logSoftmax": { tensor: (x) => tf.logSoftmax(x), exact: byRow(4, (v) => softmax(v).map(Math.log)) },
  erf: each(tf.erf, erf),
  "scaled elu": each(tf.selu, (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x))),
  prelu: each(
    (x) => tf.square(tf.prelu(x, tf.scalar(0.3))),
    (x) => (x > 0 ? x : 0.3 * x) ** 2,
  ),
  pow: each(
    (x) => tf.pow(x, tf.sin(x)),
    (x) => x ** Math.sin(x),
    [0.5, 2],
  ),
  atan2: each(
    (x) => tf.atan2(tf.sin(x), tf.sub(x, 3)),
    (x) => Math.atan2(Math.sin(x), x - 3),
  ),
  clip: each(
    (x) => tf.square(tf.clipByValue(x, -0.7, 1.1)),
    (x) => Math.min(Math.max(x, -0.7), 1.1) ** 2,
  ),
  relu6: each(
    (x) => tf.square(tf.relu6(tf.mul(x, 4))),
    (x) => Math.min(Math.max(4 * x, 0), 6) ** 2,
  ),
  cumsum: { tensor: (x) => tf.square(tf.cumsum(x, 1)), exact: byRow(4, (v) => squares(v.map((_, i) => total(v.slice(0, i + 1))))) },
  cumprod: { tensor: (x) => tf.cumprod(x, 1), exact: byRow(4, products) },
  "cumprod past a zero": {
    tensor: (x) => tf.cumprod(tf.mul(x, [1, 0, 1, 1]), 1),
    exact: byRow(4, (v) => products(v.map((x, i) => (i === 1 ? 0 : x)))),
  },
  prod: { tensor: (x) => tf.prod(x, 1), exact: byRow(4, (v) => [products(v)[3]!]) },
  einsum: {
    // the Gram matrix of the rows
    tensor: (x) => tf.einsum("ik,jk->ij", x, x),
    exact: (v) => [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => total([0, 1, 2, 3].map((k) => v[4 * i + k]! * v[4 * j + k]!)))),
  },
  matMul: {
    tensor: (x) => tf.matMul(x, x, true),
    exact: (v) => [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((j) => total([0, 1, 2].map((k) => v[4 * k + i]! * v[4 * k + j]!)))),
  },
  gather: {
    tensor: (x) => tf.square(tf.gather(x, tf.tensor1d(INDICES, "int32"), 1)),
    exact: byRow(4, (v) => squares(INDICES.map((i) => v[i]!))),
  },
  "avgPool, overlapping, with padding": {
    tensor: (x) => tf.square(tf.avgPool(tf.reshape(x, [1, 4, 4, 1]) as Tensor4D, 3, 2, 1, "floor")),
    exact: (v) => squares(windows(v, [4, 4], [3, 2, 1, 2]).map(mean)),
    shape: [4, 4],
  },
  "maxPool, overlapping, with padding": {
    tensor: (x) => tf.square(tf.maxPool(tf.reshape(x, [1, 4, 4, 1]) as Tensor4D, 3, 2, 1, "floor")),
    exact: (v) => squares(windows(v, [4, 4], [3, 2, 1, 2]).map((u) => Math.max(...u))),
    shape: [4, 4],
  },
  "resizeBilinear by centres": {
    tensor: (x) => tf.square(tf.image.resizeBilinear(image(x), [1, 9], false, true)),
    exact: (v) => squares(resized(v, 9)),
    shape: [5],
  },
  resizeNearestNeighbor: {
    tensor: (x) => tf.square(tf.image.resizeNearestNeighbor(image(x), [1, 9])),
    exact: (v) => squares(Array.from({ length: 9 }, (_, i) => v[Math.floor((i * 5) / 9)]!)),
    shape: [5],
  },
  "conv2d, dilated": {
    tensor: (x) => tf.square(tf.conv2d(image(x), taps(), 1, "valid", "NHWC", [1, 2])),
    exact: (v) => squares(convolved(v, 2)),
    shape: [8],
  },
  "conv2d, the kernel": {
    // as a function of its kernel: the input stays
    tensor: (x) =>
      tf.square(tf.conv2d(tf.tensor4d([0.3, 1, -2, 0.5, 1.5], [1, 1, 5, 1]), tf.reshape(x, [1, 3, 1, 1]) as Tensor4D, 1, "valid")),
    exact: (v) => squares([0, 1, 2].map((i) => total(v.map((w, k) => w * [0.3, 1, -2, 0.5, 1.5][i + k]!)))),
    shape: [3],
  },
  "depthwiseConv2d, dilated": {
    tensor: (x) => tf.square(tf.depthwiseConv2d(image(x), taps(), 1, "valid", "NHWC", [1, 3])),
    exact: (v) => squares(convolved(v, 3)),
    shape: [9],
  },
  max: { tensor: (x) => tf.square(tf.max(x, 1)), exact: byRow(4, (v) => [Math.max(...v) ** 2]) },
  layerNorm: { tensor: (x) => layerNorm(x), exact: byRow(4, standardise) },
  groupNorm: {
    tensor: (x) => groupNorm({ "n.scale": tf.tensor1d(SCALE), "n.bias": tf.tensor1d(BIAS) }, "n", x, 2),
    exact: groups,
    shape: [1, 2, 2, 4],
  },
  attention: {
    tensor: (x) =>
      selfAttention({ "a.qkv.kernel": tf.tensor(kernels.qkv, [4, 12]), "a.out.kernel": tf.tensor(kernels.out, [4, 4]) }, "a", x, {
        heads: 2,
      }),
    exact: attend,
    shape: [1, 3, 4],
  },
};

/** Gradient of f at v by central differences. */
const differences = (f: (v: Vector) => number, v: Vector, h: number): Vector =>
  v.map((_, i) => {
    const moved = (by: number): number => f(v.map((x, j) => (j === i ? x + by : x)));
    return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h);
  });

/** The function of x that is differentiated: a weighted sum of the formula's elements. */
const weightsFor = (length: number): Vector => Array.from(sample("weights", [length], [0.5, 2]));

for (const [name, { tensor, exact, shape = [3, 4], range }] of Object.entries(formulas)) {
  test(name, async () => {
    const x = sample(name, shape, range);
    const direction = Array.from(sample("direction", shape, [-1, 1]));
    const v = Array.from(x);
    const outputs = exact(v).length;
    const weights = weightsFor(outputs);
    const scalar = (u: Vector): number => exact(u).reduce((sum, y, i) => sum + y * weights[i]!, 0);
    const first = differences(scalar, v, 1e-3);
    // Second order: the gradient of <gradient, direction>, as R1 and Hessian-vector products need it.
    const second = differences((u) => differences(scalar, u, 1e-3).reduce((sum, g, i) => sum + g * direction[i]!, 0), v, 1e-3);

    for (const device of ["eager", "cpu"] as const) {
      const engine = await createEngine({ device, threads: 1 });
      const program = await engine.compile({
        name,
        sets: {},
        inputs: { x: { shape } },
        run: (_, inputs) => {
          const f = (t: Tensor): Tensor => tf.sum(tf.mul(tf.reshape(tensor(t), [outputs]), tf.tensor1d(weights)));
          const gradient = tf.grad(f as (t: Tensor) => Tensor);
          const along = (t: Tensor): Tensor => tf.sum(tf.mul(gradient(t), tf.tensor(direction, shape)));
          const t = inputs.x as Tensor;
          return { outputs: { first: gradient(t), second: tf.grad(along as (t: Tensor) => Tensor)(t) } };
        },
      });
      const found = await program.run({ x });
      const size = (u: Vector): number => Math.max(1, ...u.map(Math.abs));
      assert.close(found.first!, first, 1e-5 * size(first), `${device}, first order`);
      assert.close(found.second!, second, 1e-4 * size(second), `${device}, second order`);
      await engine.dispose();
    }
  });
}

test("the scalar check of tfjs #3252: d/dw (d tanh(x w) / dx)^2 is 0.8418, not 1.1011", async () => {
  // With t = tanh(xw): the slope is w (1 - t^2), and its square's derivative 2 w (1 - t^2)^2 (1 - 2 x w t).
  const [x, w] = [0.5, 0.7];
  const t = Math.tanh(x * w);
  const expected = 2 * w * (1 - t * t) ** 2 * (1 - 2 * x * w * t);
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const program = await engine.compile({
    name: "scalar",
    sets: {},
    inputs: { x: { shape: [] }, w: { shape: [] } },
    run: (_, inputs) => {
      const slope = (v: Tensor) => tf.grad((u: Tensor) => tf.tanh(tf.mul(u, v)))(inputs.x as Tensor);
      return { outputs: { second: tf.grad(((v: Tensor) => tf.square(slope(v))) as never)(inputs.w as Tensor) } };
    },
  });
  const { second } = await program.run({ x: Float32Array.of(x), w: Float32Array.of(w) });
  assert.close(expected, 0.8418, 1e-4);
  assert.close(second![0]!, expected, 1e-6);
  await engine.dispose();
});

test.run();

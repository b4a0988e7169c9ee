/** Chosen awkward cases against the tfjs CPU backend, value and gradient; parity.test.ts draws random ones for every kernel. */
import { layerNorm, swish } from "../../engine/ops.ts";
import { tf, type Tensor, type Tensor1D, type Tensor4D } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";
import { type Body, type Case, engines, evaluate, worst } from "./parity.ts";

const test = suite("kernels");
const { eager, compiled } = await engines();

/** Registers one test a group; each case in it is compiled and compared. */
function group(name: string, cases: Record<string, Case>): void {
  test(name, async () => {
    for (const [label, one] of Object.entries(cases)) {
      const { error, output } = worst(await evaluate(compiled, label, one), await evaluate(eager, label, one));
      assert.ok(error <= 1e-5, `${label}: ${output} differs by ${error}`);
    }
  });
}

const unary = (names: string[], options: Partial<Case> = {}): Record<string, Case> =>
  Object.fromEntries(names.map((name) => [name, { shapes: [[3, 1, 5]], body: (tf as never)[name] as Body, ...options }]));

group("one operand", {
  ...unary([
    "neg",
    "exp",
    "tanh",
    "sigmoid",
    "relu",
    "abs",
    "sin",
    "cos",
    "atan",
    "sinh",
    "cosh",
    "erf",
    "softplus",
    "square",
    "elu",
    "expm1",
    "relu6",
    "leakyRelu",
  ]),
  ...unary(["sign", "floor", "ceil", "round", "step"]),
  ...unary(["log", "sqrt", "rsqrt", "reciprocal", "log1p"], { range: [0.2, 3] }),
  ...unary(["asin", "acos", "tan"], { range: [-0.9, 0.9] }),
  clip: { shapes: [[7]], body: (x) => tf.clipByValue(x, -1, 0.5) },
  "step with slope": { shapes: [[7]], body: (x) => tf.step(x, 0.3) },
  swish: { shapes: [[4, 3]], body: (x) => swish(x, 1.702) },
  layerNorm: { shapes: [[2, 3, 7]], body: (x) => layerNorm(x) },
  "ones, zeros, fill": {
    shapes: [[2, 3]],
    body: (x) => tf.addN([tf.mul(x, tf.onesLike(x)), tf.zerosLike(x), tf.fill([2, 3], 4), tf.mul(tf.ones([2, 3]), 3)]),
  },
});

const PAIRS = [
  [
    [4, 3],
    [4, 3],
  ],
  [
    [2, 3, 5],
    [3, 1],
  ],
  [
    [1, 5],
    [4, 1],
  ],
  [[], [3, 2]],
  [
    [2, 1, 1, 3],
    [5, 1],
  ],
];
const binary = (names: string[], range?: readonly [number, number]): Record<string, Case> =>
  Object.fromEntries(
    names.flatMap((name) =>
      PAIRS.map((shapes) => [`${name} ${shapes.join(" with ")}`, { shapes, body: (tf as never)[name] as Body, ...(range && { range }) }]),
    ),
  );
group("two operands with broadcasting", {
  ...binary(["add", "sub", "mul", "maximum", "minimum", "squaredDifference"]),
  ...binary(["div", "pow"], [0.5, 2]),
});

const compare = (name: "equal" | "greater" | "greaterEqual" | "less" | "lessEqual" | "notEqual"): Case => ({
  shapes: [
    [4, 3],
    [1, 3],
  ],
  body: (a, b) => tf[name](tf.round(a), tf.round(b)),
  gradient: false,
});
const flag = (x: Tensor): Tensor => tf.greater(x, 0);
group("comparison and choice", {
  equal: compare("equal"),
  notEqual: compare("notEqual"),
  greater: compare("greater"),
  greaterEqual: compare("greaterEqual"),
  less: compare("less"),
  lessEqual: compare("lessEqual"),
  and: { shapes: [[5], [5]], body: (a, b) => tf.logicalAnd(flag(a), flag(b)), gradient: false },
  or: { shapes: [[5], [5]], body: (a, b) => tf.logicalOr(flag(a), flag(b)), gradient: false },
  not: { shapes: [[5]], body: (a) => tf.logicalNot(flag(a)), gradient: false },
  where: {
    shapes: [
      [4, 3],
      [4, 3],
    ],
    body: (a, b) => tf.where(tf.greater(a, b), a, tf.mul(b, 2)),
  },
  "where with a broadcast": { shapes: [[4, 3], [3]], body: (a, b) => tf.where(tf.greater(a, 0), a, b) },
  all: { shapes: [[3, 4]], body: (a) => tf.all(tf.greater(a, -1.5), 1), gradient: false },
  any: { shapes: [[3, 4]], body: (a) => tf.any(tf.greater(a, 1.5), 0), gradient: false },
  argMax: { shapes: [[3, 4]], body: (a) => tf.argMax(a, -1), gradient: false },
  argMin: { shapes: [[3, 4]], body: (a) => tf.argMin(a, 0), gradient: false },
});

const AXES: (number | number[] | undefined)[] = [undefined, 0, -1, [0, 2], [1], [1, 2]];
const reduced = (names: string[], shape: number[]): Record<string, Case> =>
  Object.fromEntries(
    names.flatMap((name) =>
      AXES.flatMap((axis) =>
        [true, false].map((keep) => [
          `${name} of [${shape}] over ${axis} ${keep ? "kept" : "dropped"}`,
          {
            shapes: [shape],
            body: ((x: Tensor) => (tf as never as Record<string, (...a: unknown[]) => Tensor>)[name]?.(x, axis, keep)) as Body,
          },
        ]),
      ),
    ),
  );
group("sums and means", { ...reduced(["sum", "mean"], [2, 3, 5]), ...reduced(["mean"], [3, 1, 2]), ...reduced(["sum"], [4, 40, 3]) });
group("other reductions", {
  ...reduced(["max", "min"], [2, 3, 4]),
  ...reduced(["logSumExp"], [2, 3, 4]),
  prod: { shapes: [[2, 3]], body: (x) => tf.prod(x, 1) },
  softmax: { shapes: [[3, 5]], body: (x) => tf.softmax(x) },
  logSoftmax: { shapes: [[3, 5]], body: (x) => tf.logSoftmax(x) },
  cumsum: { shapes: [[3, 5]], body: (x) => tf.cumsum(x, 1) },
  "cumsum, exclusive, backwards": { shapes: [[3, 5]], body: (x) => tf.cumsum(x, 0, true, true) },
});

group("products", {
  "two matrices": {
    shapes: [
      [3, 4],
      [4, 5],
    ],
    body: (a, b) => tf.matMul(a, b),
  },
  "first transposed": {
    shapes: [
      [4, 3],
      [4, 5],
    ],
    body: (a, b) => tf.matMul(a, b, true),
  },
  "second transposed": {
    shapes: [
      [3, 4],
      [5, 4],
    ],
    body: (a, b) => tf.matMul(a, b, false, true),
  },
  "both transposed": {
    shapes: [
      [4, 3],
      [5, 4],
    ],
    body: (a, b) => tf.matMul(a, b, true, true),
  },
  batched: {
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 5, 2],
    ],
    body: (a, b) => tf.matMul(a, b),
  },
  "batched, transposed": {
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 2, 5],
    ],
    body: (a, b) => tf.matMul(a, b, false, true),
  },
  "batched, both transposed": {
    shapes: [
      [3, 5, 4],
      [3, 2, 5],
    ],
    body: (a, b) => tf.matMul(a, b, true, true),
  },
  "batch of one": {
    shapes: [
      [1, 4, 5],
      [1, 5, 2],
    ],
    body: (a, b) => tf.matMul(a, b),
  },
  vector: {
    shapes: [
      [1, 5],
      [5, 1],
    ],
    body: (a, b) => tf.matMul(a, b),
  },
});

group("shapes", {
  reshape: { shapes: [[2, 6]], body: (x) => tf.square(tf.reshape(x, [3, -1, 2])) },
  expandDims: { shapes: [[2, 6]], body: (x) => tf.square(tf.expandDims(x, -1)) },
  transpose: { shapes: [[2, 3, 4]], body: (x) => tf.square(tf.transpose(x, [2, 0, 1])) },
  "transposes that undo each other": { shapes: [[2, 3, 4]], body: (x) => tf.square(tf.transpose(tf.transpose(x, [2, 0, 1]), [1, 2, 0])) },
  "transpose of a broadcast": { shapes: [[1, 4]], body: (x) => tf.transpose(tf.mul(tf.broadcastTo(x, [3, 4]), 2)) },
  broadcastTo: { shapes: [[3, 1]], body: (x) => tf.square(tf.broadcastTo(x, [2, 3, 4])) },
  slice: { shapes: [[4, 5, 3]], body: (x) => tf.square(tf.slice(x, [1, 0, 2], [2, -1, 1])) },
  stridedSlice: { shapes: [[6, 5]], body: (x) => tf.stridedSlice(x, [1, 4], [6, 0], [2, -1]) },
  split: { shapes: [[3, 6]], body: (x) => tf.mul(tf.split(x, [1, 2, 3], 1)[1] as Tensor, 2) },
  "split and concat": { shapes: [[3, 6]], body: (x) => tf.concat((tf.split(x, 3, -1) as Tensor[]).reverse(), -1) },
  concat: {
    shapes: [
      [2, 3],
      [1, 3],
      [4, 3],
    ],
    body: (...t) => tf.square(tf.concat(t, 0)),
  },
  stack: {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    body: (...t) => tf.square(tf.stack(t, 1)),
  },
  unstack: { shapes: [[2, 3]], body: (x) => tf.mul(tf.unstack(x, 1)[2] as Tensor, tf.unstack(x, -1)[0] as Tensor) },
  pad: {
    shapes: [[2, 3]],
    body: (x) =>
      tf.square(
        tf.pad(
          x,
          [
            [1, 0],
            [0, 2],
          ],
          0.5,
        ),
      ),
  },
  mirrorPad: {
    shapes: [[4, 5]],
    body: (x) =>
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [2, 0],
        ],
        "reflect",
      ),
  },
  tile: { shapes: [[2, 3]], body: (x) => tf.square(tf.tile(x, [2, 3])) },
  reverse: { shapes: [[3, 4, 2]], body: (x) => tf.square(tf.reverse(x, [0, -1])) },
  cast: { shapes: [[5]], body: (x) => tf.cast(tf.cast(tf.mul(x, 3), "int32"), "float32"), gradient: false },
  clone: { shapes: [[5]], body: (x) => tf.square(tf.clone(x)) },
});

const ids = (values: number[]): Tensor1D => tf.tensor1d(values, "int32");
group("looking things up", {
  gather: { shapes: [[4, 3]], body: (x) => tf.square(tf.gather(x, ids([2, 0, 2, 3, 2]))) },
  "gather along the last axis": { shapes: [[2, 4]], body: (x) => tf.square(tf.gather(x, ids([3, 3, 1]), -1)) },
  "gather by a matrix": {
    shapes: [[4, 2]],
    body: (x) =>
      tf.square(
        tf.gather(
          x,
          tf.tensor2d(
            [
              [0, 1],
              [3, 1],
            ],
            [2, 2],
            "int32",
          ),
        ),
      ),
  },
  segmentSum: { shapes: [[5, 2]], body: (x) => tf.square(tf.unsortedSegmentSum(x, ids([0, 2, 0, 1, 2]), 4)) },
  oneHot: { shapes: [[3, 4]], body: (x) => tf.mul(x, tf.oneHot(ids([1, 3, 0]), 4, 2, -1)) },
  range: { shapes: [[4]], body: (x) => tf.mul(x, tf.range(1, 9, 2)) },
});

const convolution = (
  input: number[],
  kernel: number[],
  stride: number | [number, number],
  pad: "same" | "valid" | number,
  dilation = 1,
): [string, Case] => [
  `[${input}] with [${kernel}], stride ${stride}, ${pad}, dilation ${dilation}`,
  { shapes: [input, kernel], body: (x, k) => tf.conv2d(x as Tensor4D, k as Tensor4D, stride, pad, "NHWC", dilation) },
];
group(
  "convolution",
  Object.fromEntries([
    convolution([2, 5, 7, 3], [3, 3, 3, 4], 1, "same"),
    convolution([2, 5, 7, 3], [3, 3, 3, 4], 1, "valid"),
    convolution([1, 6, 5, 2], [2, 4, 2, 3], 1, "same"),
    convolution([2, 6, 5, 2], [2, 4, 2, 3], 1, "same"),
    convolution([2, 6, 6, 2], [5, 5, 2, 3], 1, 1),
    convolution([2, 8, 8, 3], [3, 3, 3, 2], 2, "same"),
    convolution([2, 7, 9, 3], [3, 3, 3, 2], 2, "same"),
    convolution([1, 8, 7, 2], [4, 3, 2, 3], [2, 1], "valid"),
    convolution([1, 9, 8, 2], [3, 3, 2, 3], 3, "valid"),
    convolution([1, 6, 6, 2], [3, 3, 2, 3], 1, 1),
    convolution([1, 9, 9, 2], [3, 3, 2, 2], 1, "same", 2),
    convolution([2, 4, 5, 3], [1, 1, 3, 4], 1, "same"),
    convolution([2, 4, 6, 3], [1, 1, 3, 4], 2, "same"),
    convolution([1, 4, 4, 1], [3, 3, 1, 1], 1, "same"),
  ]),
);
group("other windows", {
  depthwise: {
    shapes: [
      [1, 5, 6, 3],
      [3, 3, 3, 2],
    ],
    body: (x, k) => tf.depthwiseConv2d(x as Tensor4D, k as Tensor4D, 1, "same"),
  },
  avgPool: { shapes: [[2, 4, 6, 3]], body: (x) => tf.square(tf.avgPool(x as Tensor4D, [2, 3], [2, 3], "valid")) },
  "avgPool, overlapping": { shapes: [[1, 5, 5, 2]], body: (x) => tf.avgPool(x as Tensor4D, 3, 2, "same") },
  maxPool: { shapes: [[2, 5, 6, 3]], body: (x) => tf.maxPool(x as Tensor4D, 3, 2, "same") },
});

const WRONG: Record<string, { shapes: number[][]; body: Body; right: Body }> = {
  "einsum that sums a label of one operand": {
    shapes: [
      [3, 2, 2],
      [4, 2],
    ],
    body: (a, b) => tf.einsum("dce,bc->cde", a, b),
    right: (a, b) => tf.mul(tf.transpose(a, [1, 0, 2]), tf.reshape(tf.sum(b, 0), [2, 1, 1])),
  },
  "product broadcast along an inner batch axis": {
    shapes: [
      [3, 5, 2, 3],
      [3, 1, 3, 4],
    ],
    body: (a, b) => tf.matMul(a, b),
    right: (a, b) => tf.matMul(a, tf.tile(b, [1, 5, 1, 1])),
  },
  "the same, transposed": {
    shapes: [
      [3, 5, 3, 2],
      [3, 1, 4, 3],
    ],
    body: (a, b) => tf.matMul(a, b, true, true),
    right: (a, b) => tf.matMul(a, tf.tile(b, [1, 5, 1, 1]), true, true),
  },
  "cumsum along an axis counted from the end": { shapes: [[3, 4]], body: (x) => tf.cumsum(x, -2), right: (x) => tf.cumsum(x, 0) },
  "cumprod along an axis counted from the end": { shapes: [[3, 4]], body: (x) => tf.cumprod(x, -2), right: (x) => tf.cumprod(x, 0) },
};
test("what TensorFlow.js's CPU backend gets wrong is right when compiled", async () => {
  for (const [name, { body, right, ...rest }] of Object.entries(WRONG)) {
    const { error, output } = worst(
      await evaluate(compiled, name, { ...rest, body }),
      await evaluate(eager, name, { ...rest, body: right }),
    );
    assert.ok(error <= 1e-5, `${name}: ${output} differs by ${error}`);
  }
});

test.after(async () => {
  await compiled.dispose();
});
test.run();

/** Kernels that reduce axes, and softmax. */
import { translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { arithmetic, cast, elementwise } from "./elementwise.ts";
import { reshape } from "./shape.ts";
import { elements } from "../weights.ts";

/** Reduces `axes` of x with an ONNX operator. */
export function reduce(graph: Graph, op: string, x: Value, axes: number[], keepDims: boolean): Value {
  const kept = x.shape.map((n, i) => (axes.includes(i) ? 1 : n));
  const shape = keepDims ? kept : x.shape.filter((_, i) => !axes.includes(i));
  if (axes.every((axis) => x.shape[axis] === 1)) return reshape(graph, x, shape);
  const narrow = op === "ReduceMean" || op === "ReduceSum" ? narrowSum(graph, op, x, axes) : undefined;
  if (narrow) return reshape(graph, narrow, shape);
  const flag = { keepdims: keepDims ? 1 : 0 };
  return op === "ReduceSum" // opset 17: its axes are an input, every other reduction's an attribute
    ? graph.add(op, [x, graph.integers(axes)], shape, x.dtype, flag)
    : graph.add(op, [x], shape, x.dtype, { ...flag, axes });
}

/** The widest row, in elements, that is summed as a product. */
const NARROW = 32;

/**
 * Sums over a middle axis between many rows and few columns, such as the pixels of a colour image: as a product with a
 * matrix of ones and zeros, because ONNX Runtime's reductions take ten times as long when what they keep is that narrow.
 */
function narrowSum(graph: Graph, op: string, x: Value, axes: number[]): Value | undefined {
  const [first, last] = [Math.min(...axes), Math.max(...axes)];
  const [length, columns] = [elements(x.shape.slice(first, last + 1)), elements(x.shape.slice(last + 1))];
  if (x.dtype !== "float32" || axes.length !== last - first + 1 || columns === 1 || length * columns > NARROW) return undefined;
  const share = op === "ReduceMean" ? 1 / length : 1;
  const matrix = Float32Array.from({ length: length * columns * columns }, (_, i) =>
    i % columns === Math.floor(i / columns) % columns ? share : 0,
  );
  const rows = reshape(graph, x, [elements(x.shape) / (length * columns), length * columns]);
  return graph.add(
    "MatMul",
    [rows, { shape: [length * columns, columns], dtype: "float32", constant: matrix }],
    [rows.shape[0] as number, columns],
    "float32",
  );
}

const REDUCTIONS = { Sum: "ReduceSum", Mean: "ReduceMean", Max: "ReduceMax", Min: "ReduceMin", Prod: "ReduceProd" };
for (const [kernel, op] of Object.entries(REDUCTIONS)) {
  translate(kernel, ({ x }, { axis, reductionIndices, keepDims }, graph) => {
    const input = x as Value;
    const numeric = input.dtype === "bool" ? cast(graph, input, "int32") : input;
    const axes = tf.util.parseAxisParam(reductionIndices ?? axis, input.shape); // Max alone has its own word for them
    return reduce(graph, op, numeric, axes, Boolean(keepDims));
  });
}
for (const [kernel, op] of Object.entries({ All: "ReduceMin", Any: "ReduceMax" })) {
  translate(kernel, ({ x }, { axis, keepDims }, graph) => {
    const axes = tf.util.parseAxisParam(axis, (x as Value).shape);
    return cast(graph, reduce(graph, op, cast(graph, x as Value, "int32"), axes, Boolean(keepDims)), "bool");
  });
}
for (const kernel of ["ArgMax", "ArgMin"]) {
  translate(kernel, ({ x }, { axis }, graph) => {
    const input = x as Value;
    const at = tf.util.parseAxisParam(axis, input.shape)[0] as number;
    if (graph.lacksIndexing) return firstExtreme(graph, input, at, kernel === "ArgMax" ? "ReduceMax" : "ReduceMin");
    const shape = input.shape.filter((_, i) => i !== at);
    return cast(graph, graph.add(kernel, [input], shape, "int64", { axis: at, keepdims: 0 }), "int32");
  });
}

/** The place along axis `at` of the first element that is the extreme one: of those the one with most elements from it to the end. */
function firstExtreme(graph: Graph, x: Value, at: number, extreme: "ReduceMax" | "ReduceMin"): Value {
  const length = x.shape[at] as number;
  const hit = elementwise(graph, "Equal", [x, reduce(graph, extreme, x, [at], true)], "bool");
  const toEnd: Value = {
    shape: x.shape.map((_, axis) => (axis === at ? length : 1)),
    dtype: "float32",
    constant: Float32Array.from({ length }, (_, i) => length - i),
  };
  const most = reduce(graph, "ReduceMax", arithmetic(graph, "Mul", cast(graph, hit, "float32"), toEnd), [at], false);
  return cast(graph, arithmetic(graph, "Sub", graph.scalar(length), most), "int32");
}

translate("Cumsum", ({ x }, { axis, exclusive, reverse }, graph) => {
  const input = x as Value;
  const at = graph.scalar(tf.util.parseAxisParam(axis, input.shape)[0] as number, "int32");
  const flags = { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 };
  return graph.add("CumSum", [input, at], input.shape, input.dtype, flags);
});
translate("Softmax", ({ logits }, { dim }, graph) => {
  const input = logits as Value;
  return graph.add("Softmax", [input], input.shape, input.dtype, { axis: dim });
});

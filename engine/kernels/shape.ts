/** Kernels that move elements without changing them. */
import { translate } from "../backend.ts";
import { type Graph, sameShape, type Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { spread } from "./elementwise.ts";
import { elements } from "../weights.ts";

/** `x` with another shape. Reshapes of reshapes collapse; a repeated scalar stays a scalar. */
export function reshape(graph: Graph, x: Value, shape: number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  if (x.broadcastOf && elements(x.broadcastOf.shape) === 1) {
    return spread(reshape(graph, x.broadcastOf, []), shape);
  }
  if (x.constant) return { shape, dtype: x.dtype, constant: x.constant };
  const made = x.name ? graph.producer(x.name) : undefined;
  const source = made?.node.op === "Reshape" ? (made.inputs[0] as Value) : x;
  if (sameShape(source.shape, shape)) return source;
  return graph.add("Reshape", [source, graph.integers(shape)], shape, x.dtype);
}

/** `x` with its axes in the order `perm`. Transposes of transposes collapse, and moving axes of length 1 is a reshape. */
export function transpose(graph: Graph, x: Value, perm: readonly number[]): Value {
  const shape = perm.map((axis) => x.shape[axis] as number);
  const moved = perm.filter((axis) => x.shape[axis] !== 1);
  if (moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number))) return reshape(graph, x, shape);
  const made = x.name ? graph.producer(x.name) : undefined;
  if (made?.node.op === "Transpose") {
    const earlier = made.node.attributes.perm as readonly number[];
    return transpose(
      graph,
      made.inputs[0] as Value,
      perm.map((axis) => earlier[axis] as number),
    );
  }
  return graph.add("Transpose", [x], shape, x.dtype, { perm: [...perm] });
}

/** The box of `x` that starts at `begin` and has shape `size`; `axes` defaults to all of them. */
export function slice(graph: Graph, x: Value, begin: readonly number[], shape: readonly number[]): Value {
  if (sameShape(x.shape, shape)) return x;
  const axes = x.shape.map((_, i) => i).filter((i) => x.shape[i] !== shape[i]);
  if (graph.lacksIndexing && x.dtype === "int32") return taken(graph, x, begin, shape);
  const starts = axes.map((i) => begin[i] as number);
  const ends = axes.map((i) => (begin[i] as number) + (shape[i] as number));
  const operands = [x, graph.integers(starts), graph.integers(ends), graph.integers(axes)];
  return graph.add("Slice", operands, [...shape], x.dtype);
}

/** A slice as lookups of each axis's elements. */
function taken(graph: Graph, x: Value, begin: readonly number[], shape: readonly number[]): Value {
  return shape.reduce((value, length, axis) => {
    if (value.shape[axis] === length) return value;
    const places = graph.indices(
      [length],
      Array.from({ length }, (_, i) => (begin[axis] as number) + i),
    );
    return graph.add("Gather", [value, places], value.shape.with(axis, length), value.dtype, { axis });
  }, x);
}

/** Values joined along `axis`. */
export function concat(graph: Graph, values: Value[], axis: number): Value {
  const first = values[0] as Value;
  const shape = [...first.shape];
  const at = axis < 0 ? axis + shape.length : axis;
  shape[at] = values.reduce((sum, value) => sum + (value.shape[at] as number), 0);
  return values.length === 1 ? first : graph.add("Concat", values, shape, first.dtype, { axis: at });
}

/** `x` with `before` and `after` constant elements around each axis. */
export function pad(graph: Graph, x: Value, before: number[], after: number[], value = 0): Value {
  if ([...before, ...after].every((n) => n === 0)) return x;
  const shape = x.shape.map((n, i) => n + (before[i] as number) + (after[i] as number));
  return graph.add("Pad", [x, graph.integers([...before, ...after]), graph.scalar(value, x.dtype)], shape, x.dtype);
}

translate("Reshape", ({ x }, { shape }, graph) => {
  const input = x as Value;
  return reshape(graph, input, tf.util.inferFromImplicitShape(shape, elements(input.shape)));
});
translate("ExpandDims", ({ input }, { dim }, graph) => {
  const shape = [...(input as Value).shape];
  shape.splice(dim < 0 ? dim + shape.length + 1 : dim, 0, 1);
  return reshape(graph, input as Value, shape);
});
translate("Transpose", ({ x }, { perm }, graph) => transpose(graph, x as Value, perm));
translate("Slice", ({ x }, { begin, size: wanted }, graph) => {
  const [start, shape] = tf.slice_util.parseSliceParams(x as never, begin, wanted);
  return slice(graph, x as Value, start as number[], shape as number[]);
});
/** Where a Slice that runs backward ends to include the first element. */
const BEFORE = -(2 ** 31);
translate("StridedSlice", ({ x }, attributes, graph) => {
  const input = x as Value;
  const a = attributes;
  const info = tf.slice_util.sliceInfo(
    input.shape,
    a.begin,
    a.end,
    a.strides,
    a.beginMask,
    a.endMask,
    a.ellipsisMask,
    a.newAxisMask,
    a.shrinkAxisMask,
  );
  const axes = graph.integers(input.shape.map((_, i) => i));
  // Backward past the first element tfjs writes -1, which to ONNX is the last one.
  const ends = info.end.map((end, i) => ((info.strides[i] as number) < 0 && end < 0 ? BEFORE : end));
  const operands = [input, graph.integers(info.begin), graph.integers(ends), axes, graph.integers(info.strides)];
  return reshape(graph, graph.add("Slice", operands, info.finalShapeSparse, input.dtype), info.finalShape);
});
translate("Concat", (inputs, { axis }, graph) =>
  concat(
    graph,
    Object.values(inputs).filter((value) => elements(value.shape) > 0),
    axis,
  ),
);
translate("SplitV", ({ x }, { numOrSizeSplits, axis }, graph) => {
  const input = x as Value;
  const at = tf.util.parseAxisParam(axis, input.shape)[0] as number;
  const lengths = tf.backend_util.prepareSplitSize(input as never, numOrSizeSplits, at);
  if (lengths.length > PIECES && input.name && !graph.isPortable) return cut(graph, input, lengths, at);
  let start = 0;
  return lengths.map((length) => {
    const begin = input.shape.map((_, i) => (i === at ? start : 0));
    start += length;
    return slice(graph, input, begin, along(input.shape, at, length));
  });
});
/** Most pieces of one Split: WebGPU promises a shader eight buffers, and what is cut is one of them. */
const PIECES = 7;

/** `x` in pieces of these lengths along the axis `at`, by Splits of Splits: a few nodes where Slices would be one a piece. */
function cut(graph: Graph, x: Value, lengths: readonly number[], at: number): Value[] {
  if (lengths.length === 1) return [x];
  const each = Math.ceil(lengths.length / PIECES);
  const groups = Array.from({ length: Math.ceil(lengths.length / each) }, (_, i) => lengths.slice(i * each, (i + 1) * each));
  const totals = groups.map((group) => group.reduce((a, b) => a + b));
  const parts = totals.map((length) => ({ shape: along(x.shape, at, length), dtype: x.dtype }));
  const made = graph.addMany("Split", [x, graph.integers(totals)], parts, { axis: at });
  return groups.flatMap((group, i) => cut(graph, made[i] as Value, group, at));
}

/** `shape` with another length along the axis `at`. */
const along = (shape: readonly number[], at: number, length: number): number[] => shape.map((n, i) => (i === at ? length : n));

translate("Pack", (inputs, { axis }, graph) => {
  const values = Object.values(inputs);
  const expanded = values.map((value) => {
    const shape = [...value.shape];
    shape.splice(axis, 0, 1);
    return reshape(graph, value, shape);
  });
  return concat(graph, expanded, axis);
});
translate("Unpack", ({ value }, { axis }, graph) => {
  const input = value as Value;
  const at = axis < 0 ? axis + input.shape.length : axis;
  return Array.from({ length: input.shape[at] as number }, (_, i) => {
    const piece = slice(
      graph,
      input,
      input.shape.map((_n, j) => (j === at ? i : 0)),
      input.shape.map((n, j) => (j === at ? 1 : n)),
    );
    return reshape(
      graph,
      piece,
      input.shape.filter((_n, j) => j !== at),
    );
  });
});
translate("PadV2", ({ x }, { paddings, constantValue }, graph) => {
  return pad(
    graph,
    x as Value,
    paddings.map((p) => p[0]),
    paddings.map((p) => p[1]),
    constantValue,
  );
});
translate("Tile", ({ x }, { reps }, graph) => {
  const input = x as Value;
  const shape = input.shape.map((n, i) => n * (reps[i] as number));
  if (input.shape.every((n, i) => n === 1 || reps[i] === 1)) return spread(input, shape);
  return graph.add("Tile", [input, graph.integers(reps)], shape, input.dtype);
});
translate("Reverse", ({ x }, { dims }, graph) => {
  const input = x as Value;
  return tf.util.parseAxisParam(dims, input.shape).reduce((value, axis) => reverse(graph, value, axis), input);
});

/** `x` with the order along one axis turned round. */
function reverse(graph: Graph, x: Value, axis: number): Value {
  const operands = [x, graph.integers([-1]), graph.integers([BEFORE]), graph.integers([axis]), graph.integers([-1])];
  return graph.add("Slice", operands, x.shape, x.dtype);
}

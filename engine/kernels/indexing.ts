/** Kernels that look things up. */
import { translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { arithmetic, cast, elementwise, spread } from "./elementwise.ts";
import { gemm } from "./matrix.ts";
import { reduce } from "./reduction.ts";
import { reshape, slice, transpose } from "./shape.ts";
import { elements } from "../weights.ts";

translate("GatherV2", ({ x, indices }, { axis, batchDims }, graph) => {
  const [input, at] = [x as Value, indices as Value];
  const along = axis < 0 ? axis + input.shape.length : axis;
  const batched = batchDims ?? 0;
  const [batch, outer, inner] = [input.shape.slice(0, batched), input.shape.slice(batched, along), input.shape.slice(along + 1)];
  const shape = [...batch, ...outer, ...at.shape.slice(batched), ...inner];
  if (elements(batch) === 1) {
    const [flat, ids] = [reshape(graph, input, input.shape.slice(batched)), reshape(graph, at, at.shape.slice(batched))];
    const taken = [...outer, ...ids.shape, ...inner];
    return reshape(graph, graph.add("Gather", [flat, ids], taken, input.dtype, { axis: along - batched }), shape);
  }
  // Every batch its own table: the tables laid one after another, and looked up with the batch's offset.
  const [b, o, d, k, s] = [
    elements(batch),
    elements(outer),
    input.shape[along] as number,
    elements(at.shape) / elements(batch),
    elements(inner),
  ];
  const byPlace = transpose(graph, reshape(graph, input, [b, o, d, s]), [0, 2, 1, 3]);
  const back = (rows: Value): Value => reshape(graph, transpose(graph, reshape(graph, rows, [b, k, o, s]), [0, 2, 1, 3]), shape);
  if (graph.isPortable) {
    const places = reshape(graph, cast(graph, at, "int64"), [b, k, 1]);
    const table = reshape(graph, byPlace, [b, d, o * s]);
    return back(graph.add("GatherND", [table, places], [b, k, o * s], input.dtype, { batch_dims: 1 }));
  }
  const tables = reshape(graph, byPlace, [b * d, o * s]);
  const offsets: Value = { shape: [b, 1], dtype: "int32", constant: Int32Array.from({ length: b }, (_, i) => i * d) };
  const ids = arithmetic(graph, "Add", reshape(graph, cast(graph, at, "int32"), [b, k]), offsets);
  return back(graph.add("Gather", [tables, ids], [b, k, o * s], input.dtype, { axis: 0 }));
});

translate("GatherNd", ({ params, indices }, _, graph) => {
  const [input, at] = [params as Value, indices as Value];
  const shape = [...at.shape.slice(0, -1), ...input.shape.slice(at.shape.at(-1))];
  return graph.add("GatherND", [input, cast(graph, at, "int64")], shape, input.dtype);
});

/** The largest selection matrix, in elements, by which rows are added up as a product. */
const SELECTED = 2 ** 20;

/**
 * Adds each row of x [n, c] to row ids[i] of zeros [rows, c]; rows whose id lies outside are dropped. A product with ones
 * and zeros while those are few, which every device does fast. Never ONNX Runtime's ScatterND: its threads overwrite each
 * other's sums.
 */
function addRows(graph: Graph, x: Value, ids: Value, rows: number): Value {
  const [n, c] = x.shape as [number, number];
  if (n * rows <= SELECTED) {
    const all: Value = { shape: [1, rows], dtype: "int32", constant: Int32Array.from({ length: rows }, (_, i) => i) };
    const selected = cast(graph, elementwise(graph, "Equal", [reshape(graph, ids, [n, 1]), all], "bool"), "float32");
    return cast(graph, gemm(graph, selected, cast(graph, x, "float32"), { transA: true }), x.dtype);
  }
  const beyond = graph.scalar(rows, "int32"); // one row more, for what is dropped
  const outside = elementwise(graph, "Less", [ids, graph.scalar(0, "int32")], "bool");
  const place = elementwise(graph, "Where", [outside, beyond, elementwise(graph, "Min", [ids, beyond], "int32")], "int32");
  const places = graph.add("Expand", [reshape(graph, place, [n, 1]), graph.integers([n, c])], [n, c], "int32");
  const zeros = graph.add("Expand", [graph.scalar(0, x.dtype), graph.integers([rows + 1, c])], [rows + 1, c], x.dtype);
  const sums = graph.add("ScatterElements", [zeros, places, x], [rows + 1, c], x.dtype, { axis: 0, reduction: "add" });
  return slice(graph, sums, [0, 0], [rows, c]);
}

translate("ScatterNd", ({ indices, updates }, { shape }, graph) => {
  const [at, values] = [cast(graph, indices as Value, "int32"), updates as Value];
  const depth = at.shape.at(-1) as number;
  const n = elements(at.shape.slice(0, -1));
  const table = shape.slice(0, depth);
  const strides = table.map((_, axis) => elements(table.slice(axis + 1)));
  const steps: Value = { shape: [1, depth], dtype: "int32", constant: Int32Array.from(strides) };
  const offsets = arithmetic(graph, "Mul", reshape(graph, at, [n, depth]), steps);
  const ids = reduce(graph, "ReduceSum", offsets, [1], false);
  return reshape(graph, addRows(graph, reshape(graph, values, [n, elements(shape.slice(depth))]), ids, elements(table)), shape);
});

translate("UnsortedSegmentSum", ({ x, segmentIds }, { numSegments }, graph) => {
  const [input, ids] = [x as Value, cast(graph, segmentIds as Value, "int32")];
  const n = elements(ids.shape);
  const rest = input.shape.slice(ids.shape.length);
  const rows = reshape(graph, input, [n, elements(rest)]);
  return reshape(graph, addRows(graph, rows, reshape(graph, ids, [n]), numSegments), [numSegments, ...rest]);
});

translate("OneHot", ({ indices }, { depth, onValue, offValue, dtype }, graph) => {
  const input = indices as Value;
  const classes: Value = { shape: [depth], dtype: "int32", constant: Int32Array.from({ length: depth }, (_, i) => i) };
  const ids = reshape(graph, cast(graph, input, "int32"), [...input.shape, 1]);
  const hit = cast(graph, elementwise(graph, "Equal", [ids, classes], "bool"), "float32");
  const scaled = arithmetic(graph, "Add", arithmetic(graph, "Mul", hit, graph.scalar(onValue - offValue)), graph.scalar(offValue));
  return cast(graph, scaled, dtype ?? "float32");
});

translate("Range", (_, { start, stop, step, dtype }, graph) => {
  const length = Math.max(0, Math.ceil((stop - start) / step));
  const values = Array.from({ length }, (_v, i) => start + i * step);
  const constant = dtype === "int32" ? Int32Array.from(values) : Float32Array.from(values);
  return length === 0 ? spread(graph.scalar(0), [0]) : { shape: [length], dtype: dtype ?? "float32", constant };
});

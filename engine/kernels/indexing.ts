/** Kernels that look things up. */
import { translate } from "../backend.ts";
import { size, type Value } from "../graph.ts";
import { arithmetic, cast, elementwise, spread } from "./elementwise.ts";
import { reshape } from "./shape.ts";

translate("GatherV2", ({ x, indices }, { axis, batchDims }, graph) => {
  const [input, at] = [x as Value, indices as Value];
  if (batchDims ?? 0) throw new Error("Cannot compile tf.gather with batchDims: only 0 has a translation");
  const along = axis < 0 ? axis + input.shape.length : axis;
  const shape = [...input.shape.slice(0, along), ...at.shape, ...input.shape.slice(along + 1)];
  return graph.add("Gather", [input, at], shape, input.dtype, { axis: along });
});

translate("UnsortedSegmentSum", ({ x, segmentIds }, { numSegments }, graph) => {
  const [input, ids] = [x as Value, segmentIds as Value];
  const shape = [numSegments, ...input.shape.slice(ids.shape.length)];
  const start = graph.add("Expand", [graph.scalar(0, input.dtype), graph.integers(shape)], shape, input.dtype);
  const positions = reshape(graph, ids, [size(ids.shape), 1]);
  const updates = reshape(graph, input, [size(ids.shape), ...shape.slice(1)]);
  return graph.add("ScatterND", [start, cast(graph, positions, "int64"), updates], shape, input.dtype, { reduction: "add" });
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

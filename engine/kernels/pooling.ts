/** Pooling of images [b, h, w, c], and its gradients' kernels. */
import { type Attributes, translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { beyond, reach } from "../windows.ts";
import { arithmetic, cast } from "./elementwise.ts";
import { reshape, transpose } from "./shape.ts";
import { elements } from "../weights.ts";

type Info = ReturnType<typeof tf.backend_util.computePool2DInfo>;

const toChannelsFirst = (graph: Graph, x: Value): Value => transpose(graph, x, [0, 3, 1, 2]);
const toChannelsLast = (graph: Graph, x: Value): Value => transpose(graph, x, [0, 2, 3, 1]);

const pooling = (x: Value, a: Attributes): Info =>
  tf.backend_util.computePool2DInfo(x.shape as never, a.filterSize, a.strides, 1, a.pad, a.dimRoundingMode);
function pads(i: Info): number[] {
  const { top, left, bottom, right } = reach(i);
  return [top, left, bottom, right];
}
const windows = (i: Info): Record<string, number[]> => ({
  kernel_shape: [i.filterHeight, i.filterWidth],
  strides: [i.strideHeight, i.strideWidth],
  pads: pads(i),
});
const pooled = (i: Info): number[] => [i.batchSize, i.outChannels, i.outHeight, i.outWidth];

for (const [kernel, op] of Object.entries({ AvgPool: "AveragePool", MaxPool: "MaxPool" })) {
  translate(kernel, ({ x }, attributes, graph) => {
    const i = pooling(x as Value, attributes);
    return toChannelsLast(graph, graph.add(op, [toChannelsFirst(graph, x as Value)], pooled(i), "float32", windows(i)));
  });
}

translate("AvgPoolGrad", ({ dy, input }, attributes, graph) => {
  const i = pooling(input as Value, attributes);
  const share = 1 / (i.filterHeight * i.filterWidth);
  const tiles = i.strideHeight === i.filterHeight && i.strideWidth === i.filterWidth && pads(i).every((n) => n === 0);
  if (tiles && i.inHeight % i.filterHeight === 0 && i.inWidth % i.filterWidth === 0) {
    const [b, h, w, c] = (dy as Value).shape as [number, number, number, number];
    const split = reshape(graph, arithmetic(graph, "Mul", dy as Value, graph.scalar(share)), [b, h, 1, w, 1, c]);
    const whole = [b, h, i.filterHeight, w, i.filterWidth, c];
    return reshape(graph, graph.add("Expand", [split, graph.integers(whole)], whole, "float32"), i.inShape);
  }
  // In general the transposed convolution of each channel with equal weights.
  const kernel = [i.inChannels, 1, i.filterHeight, i.filterWidth];
  const weights: Value = { shape: kernel, dtype: "float32", constant: new Float32Array(elements(kernel)).fill(share) };
  const dx = graph.add(
    "ConvTranspose",
    [toChannelsFirst(graph, dy as Value), weights],
    [i.batchSize, i.inChannels, i.inHeight, i.inWidth],
    "float32",
    {
      group: i.inChannels,
      strides: [i.strideHeight, i.strideWidth],
      pads: pads(i),
      output_padding: beyond(i),
    },
  );
  return toChannelsLast(graph, dx);
});

/** The greatest element of each window and where it stands among all elements of x [b, c, h, w]; the first of equal ones. */
function maxima(graph: Graph, x: Value, i: Info): { first: Value; places: Value } {
  const shape = pooled(i);
  const outputs = [
    { shape, dtype: "float32" as const },
    { shape, dtype: "int64" as const },
  ];
  const [first, places] = graph.addMany("MaxPool", [toChannelsFirst(graph, x)], outputs, { ...windows(i), storage_order: 0 });
  return { first: first as Value, places: places as Value };
}

translate("MaxPoolGrad", ({ dy, input }, attributes, graph) => {
  const i = pooling(input as Value, attributes);
  const { places } = maxima(graph, input as Value, i);
  const length = [elements(i.inShape)];
  const zeros = graph.add("Expand", [graph.scalar(0), graph.integers(length)], length, "float32");
  const flat = (value: Value): Value => reshape(graph, value, [elements(value.shape)]);
  const operands = [zeros, flat(places), flat(toChannelsFirst(graph, dy as Value))];
  const dx = graph.add("ScatterElements", operands, length, "float32", { axis: 0, reduction: "add" });
  return toChannelsLast(graph, reshape(graph, dx, [i.batchSize, i.inChannels, i.inHeight, i.inWidth]));
});

/** Emitted by the gradient of MaxPoolGrad alone, always with indices over the whole batch. */
translate("MaxPoolWithArgmax", ({ x }, attributes, graph) => {
  const i = pooling(x as Value, attributes);
  const { first, places } = maxima(graph, x as Value, i);
  // From places in [b, c, h, w] to places in [b, h, w, c].
  const [c, pixels] = [i.inChannels, i.inHeight * i.inWidth];
  const whole = (op: "Add" | "Sub" | "Mul" | "Div", a: Value, b: Value): Value => graph.add(op, [a, b], pooled(i), "int32");
  const number = (n: number): Value => graph.scalar(n, "int32");
  const place = cast(graph, places, "int32");
  const plane = whole("Div", place, number(pixels));
  const pixel = whole("Sub", place, whole("Mul", plane, number(pixels)));
  const image = whole("Div", plane, number(c));
  const channel = whole("Sub", plane, whole("Mul", image, number(c)));
  const inside = whole("Add", whole("Mul", pixel, number(c)), channel);
  const base = attributes.includeBatchInIndex ? whole("Mul", image, number(pixels * c)) : number(0);
  return [toChannelsLast(graph, first), toChannelsLast(graph, whole("Add", inside, base))];
});

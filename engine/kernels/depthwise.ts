/** The two gradients of depthwise convolutions of images [b, h, w, c] with kernels [kh, kw, c, m]. */
import { type Attributes, translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { beyond, reach } from "../windows.ts";
import { arithmetic } from "./elementwise.ts";
import { reduce } from "./reduction.ts";
import { concat, pad, reshape, transpose } from "./shape.ts";
import { elements } from "../weights.ts";

const info = (input: number[], filter: number[], a: Attributes) =>
  tf.backend_util.computeConv2DInfo(input as never, filter as never, a.strides, a.dilations ?? 1, a.pad, a.dimRoundingMode, true);

translate("DepthwiseConv2dNativeBackpropInput", ({ dy, filter }, attributes, graph) => {
  const kernel = filter as Value;
  const i = info(attributes.inputShape, kernel.shape, attributes);
  const [h, w, c, m] = kernel.shape as [number, number, number, number];
  const { top, left, bottom, right } = reach(i);
  const operands = [transpose(graph, dy as Value, [0, 3, 1, 2]), reshape(graph, transpose(graph, kernel, [2, 3, 0, 1]), [c * m, 1, h, w])];
  const dx = graph.add("ConvTranspose", operands, [i.batchSize, c, i.inHeight, i.inWidth], "float32", {
    group: c,
    strides: [i.strideHeight, i.strideWidth],
    dilations: [i.dilationHeight, i.dilationWidth],
    pads: [top, left, bottom, right],
    output_padding: beyond(i),
  });
  return transpose(graph, dx, [0, 2, 3, 1]);
});

/** One tap of the kernel at a time: the pixels it meets times the output's gradient, summed over both images. */
translate("DepthwiseConv2dNativeBackpropFilter", ({ x, dy }, attributes, graph) => {
  const [h, w, c, m] = attributes.filterShape as [number, number, number, number];
  const i = info((x as Value).shape, attributes.filterShape, attributes);
  const { top, left, bottom, right } = reach(i);
  const padded = pad(graph, x as Value, [0, top, left, 0], [0, bottom, right, 0]);
  const places = [i.batchSize, i.outHeight, i.outWidth];
  const gradient = reshape(graph, dy as Value, [elements(places), c, m]);
  const taps = Array.from({ length: h * w }, (_, tap) => {
    const from = [Math.floor(tap / w) * i.dilationHeight, (tap % w) * i.dilationWidth] as const;
    const met = strided(graph, padded, from, [i.outHeight, i.outWidth], [i.strideHeight, i.strideWidth]);
    const products = arithmetic(graph, "Mul", reshape(graph, met, [elements(places), c, 1]), gradient);
    return reduce(graph, "ReduceSum", products, [0], true);
  });
  return reshape(graph, concat(graph, taps, 0), attributes.filterShape);
});

/** Every stride-th row and column of an image, from `from` on. */
function strided(graph: Graph, x: Value, from: readonly [number, number], shape: [number, number], stride: [number, number]): Value {
  const ends = from.map((begin, i) => begin + ((shape[i] as number) - 1) * (stride[i] as number) + 1);
  const operands = [x, graph.integers(from), graph.integers(ends), graph.integers([1, 2]), graph.integers(stride)];
  return graph.add("Slice", operands, [x.shape[0] as number, ...shape, x.shape[3] as number], x.dtype);
}

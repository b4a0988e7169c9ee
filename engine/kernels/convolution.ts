/**
 * Convolutions. TensorFlow.js is channels-last and ONNX channels-first, so each Conv stands between two
 * transposes, which ONNX Runtime moves and cancels where it can. A 1x1 convolution is a matrix product. The weight
 * gradient is the product of patches with the output gradient: as a convolution with a huge kernel it is 2.3 times slower.
 */
import { type Attributes, translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { reach } from "../windows.ts";
import { gemm } from "./matrix.ts";
import { pad, reshape, transpose } from "./shape.ts";
import * as winograd from "./winograd.ts";
import { elements } from "../weights.ts";

type Info = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

const toChannelsFirst = (graph: Graph, x: Value): Value => transpose(graph, x, [0, 3, 1, 2]);
const toChannelsLast = (graph: Graph, x: Value): Value => transpose(graph, x, [0, 2, 3, 1]);

/**
 * A kernel [h, w, in, out] as ONNX wants it, [out, in, h, w]. Two moves of one axis each, which ONNX Runtime does at the
 * speed of a copy: four axes at once took 5 ms for [3, 3, 256, 128].
 */
function kernelFirst(graph: Graph, kernel: Value): Value {
  const [h, w, c, m] = kernel.shape as [number, number, number, number];
  const byOutput = transpose(graph, reshape(graph, kernel, [h * w * c, m]), [1, 0]);
  return reshape(graph, transpose(graph, reshape(graph, byOutput, [m, h * w, c]), [0, 2, 1]), [m, c, h, w]);
}

/** The taps of a kernel [h, w, in, out] in opposite order, [h * w, in * out]. */
function opposite(graph: Graph, kernel: Value): Value {
  const [h, w, c, m] = kernel.shape as [number, number, number, number];
  const order = graph.indices(
    [h * w],
    Array.from({ length: h * w }, (_, i) => h * w - 1 - i),
  );
  return graph.add("Gather", [reshape(graph, kernel, [h * w, c * m]), order], [h * w, c * m], kernel.dtype, { axis: 0 });
}

function info(input: number[], filter: number[], a: Attributes, depthwise = false): Info {
  const dilations = a.dilations ?? 1;
  return tf.backend_util.computeConv2DInfo(input as never, filter as never, a.strides, dilations, a.pad, a.dimRoundingMode, depthwise);
}

function pads(i: Info): number[] {
  const { top, left, bottom, right } = reach(i);
  return [top, left, bottom, right];
}
const isProduct = (i: Info): boolean =>
  i.filterHeight === 1 && i.filterWidth === 1 && i.strideHeight === 1 && i.strideWidth === 1 && pads(i).every((n) => n === 0);
const rows = (graph: Graph, x: Value): Value =>
  reshape(graph, x, [elements(x.shape) / (x.shape.at(-1) as number), x.shape.at(-1) as number]);

/** The convolution `i` as winograd.ts describes it, where that algorithm applies and pays; `kernel` is undefined where it is sought. */
function winogradWindow(graph: Graph, i: Info, kernel?: Value): winograd.Window | undefined {
  const [top, left, bottom, right] = pads(i) as [number, number, number, number];
  const unit = [i.strideHeight, i.strideWidth, i.dilationHeight, i.dilationWidth].every((n) => n === 1);
  const near = [top, left, bottom, right].every((n) => n >= 0 && n <= 2);
  const window = { batch: i.batchSize, height: i.outHeight, width: i.outWidth, top, left };
  const applies = !graph.isPortable && i.filterHeight === 3 && i.filterWidth === 3 && unit && near;
  return applies && winograd.pays(window, { inputs: i.inChannels, outputs: i.outChannels, unfolded: kernel?.unfolded })
    ? window
    : undefined;
}

/** Below this many pixels ONNX Runtime's Conv divides a single image so that its last bits depend on the threads. */
const DIVIDED = 4096;

/** The convolution that `i` describes; its kernel as [out, in, h, w] or as the matrix [h * w * in, out]. */
function convolve(graph: Graph, x: Value, i: Info, kernel: { first: () => Value; matrix: () => Value }): Value {
  if (isProduct(i)) return reshape(graph, gemm(graph, rows(graph, x), kernel.matrix()), i.outShape);
  const narrow = Math.min(i.inChannels, i.outChannels) < 16;
  if (!graph.isPortable && (narrow || (i.batchSize === 1 && i.outHeight * i.outWidth <= DIVIDED))) {
    return reshape(graph, gemm(graph, patches(graph, x, i), kernel.matrix()), i.outShape);
  }
  const attributes = { strides: [i.strideHeight, i.strideWidth], dilations: [i.dilationHeight, i.dilationWidth], pads: pads(i) };
  const shape = [i.batchSize, i.outChannels, i.outHeight, i.outWidth];
  return toChannelsLast(graph, graph.add("Conv", [toChannelsFirst(graph, x), kernel.first()], shape, "float32", attributes));
}

translate("Conv2D", ({ x, filter }, attributes, graph) => {
  const kernel = filter as Value;
  const i = info((x as Value).shape, kernel.shape, attributes);
  const window = winogradWindow(graph, i, kernel);
  if (window) return winograd.convolution(graph, x as Value, kernel, window);
  return convolve(graph, x as Value, i, {
    first: () => kernelFirst(graph, kernel),
    matrix: () => rows(graph, kernel),
  });
});

translate("Conv2DBackpropInput", ({ dy, filter }, attributes, graph) => {
  const [gradient, kernel] = [dy as Value, filter as Value];
  const i = info(attributes.inputShape, kernel.shape, attributes);
  const [height, width, inputs, outputs] = kernel.shape as [number, number, number, number];
  if (isProduct(i)) return reshape(graph, gemm(graph, rows(graph, gradient), rows(graph, kernel), { transB: true }), i.inShape);
  const [top, left, bottom, right] = pads(i) as [number, number, number, number];
  if (i.strideHeight === 1 && i.strideWidth === 1) {
    // With stride 1 the input's gradient is the convolution of dy with the kernel turned round and its channels exchanged.
    const [h, w] = [(height - 1) * i.dilationHeight, (width - 1) * i.dilationWidth];
    const around = [
      [0, 0],
      [h - top, h - bottom],
      [w - left, w - right],
      [0, 0],
    ];
    const turned = info(gradient.shape, [height, width, outputs, inputs], { ...attributes, pad: around as never });
    const window = winogradWindow(graph, turned, kernel);
    if (window) return winograd.inputGradient(graph, gradient, kernel, window);
    return convolve(graph, gradient, turned, {
      first: () => reshape(graph, transpose(graph, opposite(graph, kernel), [1, 0]), [inputs, outputs, height, width]),
      matrix: () => {
        const taps = reshape(graph, opposite(graph, kernel), [height * width, inputs, outputs]);
        return reshape(graph, transpose(graph, taps, [0, 2, 1]), [height * width * outputs, inputs]);
      },
    });
  }
  const dyFirst = toChannelsFirst(graph, gradient);
  const shape = [i.batchSize, i.inChannels, i.inHeight, i.inWidth];
  const covered = (extent: number, stride: number, from: number, to: number, out: number): number =>
    (out - 1) * stride + extent - from - to; // rows the transposed convolution reaches; any beyond are zero
  const y = graph.add("ConvTranspose", [dyFirst, kernelFirst(graph, kernel)], shape, "float32", {
    strides: [i.strideHeight, i.strideWidth],
    pads: pads(i),
    output_padding: [
      i.inHeight - covered(i.filterHeight, i.strideHeight, top, bottom, i.outHeight),
      i.inWidth - covered(i.filterWidth, i.strideWidth, left, right, i.outWidth),
    ],
  });
  return toChannelsLast(graph, y);
});

translate("Conv2DBackpropFilter", ({ x, dy }, attributes, graph) => {
  const [input, gradient] = [x as Value, dy as Value];
  const shape = attributes.filterShape;
  const i = info(input.shape, shape, attributes);
  const window = winogradWindow(graph, i);
  if (window) return winograd.kernelGradient(graph, input, gradient, window);
  const columns = isProduct(i) ? rows(graph, input) : patches(graph, input, i);
  return reshape(graph, gemm(graph, columns, rows(graph, gradient), { transA: true }), shape);
});

/** Every patch the kernel sees as a row, [b * oh * ow, kh * kw * c]: one Gather, which copies a pixel's channels at a time. */
function patches(graph: Graph, x: Value, i: Info): Value {
  const [top, left, bottom, right] = pads(i) as [number, number, number, number];
  const padded = pad(graph, x, [0, top, left, 0], [0, bottom, right, 0]);
  const [height, width] = padded.shape.slice(1, 3) as [number, number];
  const pixels: number[] = [];
  for (let y = 0; y < i.outHeight; y++) {
    for (let x = 0; x < i.outWidth; x++) {
      for (let row = 0; row < i.filterHeight; row++) {
        for (let column = 0; column < i.filterWidth; column++) {
          const from = (y * i.strideHeight + row * i.dilationHeight) * width;
          pixels.push(from + x * i.strideWidth + column * i.dilationWidth);
        }
      }
    }
  }
  const [places, taps] = [i.outHeight * i.outWidth, i.filterHeight * i.filterWidth];
  const flat = reshape(graph, padded, [i.batchSize, height * width, i.inChannels]);
  const at = graph.indices([places, taps], pixels);
  const taken = graph.add("Gather", [flat, at], [i.batchSize, places, taps, i.inChannels], x.dtype, { axis: 1 });
  return reshape(graph, taken, [i.batchSize * places, taps * i.inChannels]);
}

translate("DepthwiseConv2dNative", ({ x, filter }, attributes, graph) => {
  const [input, kernel] = [x as Value, filter as Value];
  const i = info(input.shape, kernel.shape, attributes, true);
  const [h, w, c, multiplier] = kernel.shape as [number, number, number, number];
  const grouped = reshape(graph, transpose(graph, kernel, [2, 3, 0, 1]), [c * multiplier, 1, h, w]);
  const y = graph.add("Conv", [toChannelsFirst(graph, input), grouped], [i.batchSize, i.outChannels, i.outHeight, i.outWidth], "float32", {
    group: c,
    strides: [i.strideHeight, i.strideWidth],
    dilations: [i.dilationHeight, i.dilationWidth],
    pads: pads(i),
  });
  return toChannelsLast(graph, y);
});

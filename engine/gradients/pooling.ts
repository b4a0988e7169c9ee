/**
 * Gradients of pooling. TensorFlow.js's of avgPool is wrong where a window covers padding (it divides by the whole window,
 * the forward pass by what the window covers of the image), and neither has a second derivative.
 */
import type { Attributes } from "../backend.ts";
import { tf, type Tensor, type Tensor1D } from "../tfjs.ts";
import { reach } from "../windows.ts";
import { noGradient, register, registerUnary } from "./register.ts";

const run = (kernel: string, inputs: Record<string, Tensor>, attributes: object): Tensor | Tensor[] =>
  tf.engine().runKernel(kernel, inputs, attributes as never) as Tensor | Tensor[];

/** The windows over an image, with their padding spelt out, since some kernels ignore how it was rounded. */
function windows(x: Tensor, { filterSize, strides, pad, dimRoundingMode }: Attributes) {
  const info = tf.backend_util.computePool2DInfo(x.shape as never, filterSize, strides, 1, pad, dimRoundingMode);
  const { top, left, bottom, right } = reach(info);
  return {
    info,
    attributes: {
      filterSize,
      strides,
      pad: [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ],
    },
  };
}

/** The share of each window that is image, [1, height, width, 1]. */
function coverage({ info }: ReturnType<typeof windows>): Tensor {
  const along = (out: number, stride: number, filter: number, before: number, length: number): number[] =>
    Array.from({ length: out }, (_, i) => {
      const from = i * stride - before;
      return (Math.min(from + filter, length) - Math.max(from, 0)) / filter;
    });
  const rows = along(info.outHeight, info.strideHeight, info.filterHeight, info.padInfo.top, info.inHeight);
  const columns = along(info.outWidth, info.strideWidth, info.filterWidth, info.padInfo.left, info.inWidth);
  return tf.tensor4d(
    rows.flatMap((r) => columns.map((c) => r * c)),
    [1, info.outHeight, info.outWidth, 1],
  );
}

registerUnary("AvgPool", (dy, x, given) => {
  const over = windows(x, given);
  return run("AvgPoolGrad", { dy: tf.div(dy, coverage(over)), input: x }, over.attributes) as Tensor;
});
register({
  kernelName: "AvgPoolGrad",
  saves: ["input"],
  by: (ddx, { input }, given) => {
    const over = windows(input as Tensor, given);
    return {
      dy: () => tf.mul(run("AvgPool", { x: ddx }, over.attributes) as Tensor, coverage(over)),
      input: noGradient(input as Tensor),
    };
  },
});

registerUnary("MaxPool", (dy, x, given) => {
  const { attributes } = windows(x, given);
  return run("MaxPoolGrad", { dy, input: x, output: run("MaxPool", { x }, attributes) as Tensor }, attributes) as Tensor;
});
register({
  kernelName: "MaxPoolGrad",
  saves: ["input", "output"],
  by: (ddx, saved, given) => {
    const { input, output } = saved as { input: Tensor; output: Tensor };
    const { attributes } = windows(input, given);
    const dy = (): Tensor => {
      const [, places] = run("MaxPoolWithArgmax", { x: input }, { ...attributes, includeBatchInIndex: true }) as [Tensor, Tensor];
      return tf.reshape(tf.gather(tf.reshape(ddx, [ddx.size]), tf.reshape(places, [places.size]) as Tensor1D), output.shape);
    };
    return { dy, input: noGradient(input), output: noGradient(output) };
  },
});

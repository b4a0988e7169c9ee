/**
 * Convolutions and their gradients on TensorFlow: padding by numbers and, where each channel has filters of its own, dilations and strides
 * that differ between height and width.
 */
import type { Attributes } from "../attributes.ts";
import { spaced } from "../gradients/convolution.ts";
import { tf, type Tensor } from "../tfjs.ts";
import { isNamed, type Mend, padded, run, valid } from "./padding.ts";

/** By the kernel's name. */
export const convolutions: Record<string, Mend> = {};

for (const [forward, isDepthwise] of [
  ["Conv2D", false],
  ["DepthwiseConv2dNative", true],
] as const) {
  const windows = (x: number[], filter: number[], a: Attributes) =>
    tf.backend_util.computeConv2DInfo(x as never, filter as never, a.strides, a.dilations ?? [1, 1], a.pad, a.dimRoundingMode, isDepthwise);
  /** Both strides as one that divides them, and how many of its steps each takes. */
  const uneven = (a: Attributes): { one: Attributes; steps: [number, number] } | undefined => {
    const [down, across] = [a.strides].flat(2) as [number, number | undefined];
    if (!isDepthwise || across === undefined || across === down) return undefined;
    const common = (m: number, n: number): number => (n === 0 ? m : common(n, m % n));
    const stride = common(down, across);
    return { one: { ...a, strides: [stride, stride] }, steps: [down / stride, across / stride] };
  };
  convolutions[forward] = ({ x, filter }, a) => {
    const [image, kernel] = [x as Tensor, filter as Tensor];
    if (isDepthwise && [a.dilations ?? 1].flat().some((n) => n > 1)) {
      return run(forward, { x: image, filter: spaced(kernel, a) }, { ...a, dilations: [1, 1] });
    }
    const strides = uneven(a);
    if (isNamed(a) && !strides) return undefined;
    const info = windows(image.shape, kernel.shape, a);
    const inner = padded(info, image.shape).grown(image);
    if (!strides) return run(forward, { x: inner, filter: kernel }, valid(a));
    const dense = run(forward, { x: inner, filter: kernel }, valid(strides.one));
    return tf.stridedSlice(dense, [0, 0, 0, 0], dense.shape, [1, ...strides.steps, 1]);
  };
  /** The gradient by the output, on the grid of the stride that divides both. */
  const spread = (dy: Tensor, [down, across]: [number, number]): Tensor => {
    const [b, h, w, c] = dy.shape as [number, number, number, number];
    const apart = tf.pad(tf.reshape(dy, [b, h, 1, w, 1, c]), [
      [0, 0],
      [0, 0],
      [0, down - 1],
      [0, 0],
      [0, across - 1],
      [0, 0],
    ] as [number, number][]);
    return tf.slice(tf.reshape(apart, [b, h * down, w * across, c]), [0, 0, 0, 0], [b, (h - 1) * down + 1, (w - 1) * across + 1, c]);
  };
  /** The image's size that the windows of a grid cover: what lies beyond has no gradient. */
  const covered = (shape: number[], dy: Tensor, filter: number[], { strides: [down, across] }: Attributes): number[] => [
    shape[0] as number,
    ((dy.shape[1] as number) - 1) * down + (filter[0] as number),
    ((dy.shape[2] as number) - 1) * across + (filter[1] as number),
    shape[3] as number,
  ];
  convolutions[`${forward}BackpropInput`] = ({ dy, filter }, a) => {
    const [slope, kernel] = [dy as Tensor, filter as Tensor];
    const strides = uneven(a);
    if (isNamed(a) && !strides) return undefined;
    const room = padded(windows(a.inputShape, kernel.shape, a), a.inputShape);
    if (!strides)
      return room.shrunk(run(`${forward}BackpropInput`, { dy: slope, filter: kernel }, { ...valid(a), inputShape: room.shape }));
    const even = spread(slope, strides.steps);
    const inner = covered(room.shape, even, kernel.shape, strides.one);
    const dx = run(`${forward}BackpropInput`, { dy: even, filter: kernel }, { ...valid(strides.one), inputShape: inner });
    return room.shrunk(
      tf.pad(
        dx,
        room.shape.map((n, i) => [0, n - (inner[i] as number)]),
      ),
    );
  };
  convolutions[`${forward}BackpropFilter`] = ({ x, dy }, a) => {
    const [image, slope] = [x as Tensor, dy as Tensor];
    const strides = uneven(a);
    if (isNamed(a) && !strides) return undefined;
    const grown = padded(windows(image.shape, a.filterShape, a), image.shape).grown(image);
    if (!strides) return run(`${forward}BackpropFilter`, { x: grown, dy: slope }, valid(a));
    const even = spread(slope, strides.steps);
    const inner = tf.slice(grown, [0, 0, 0, 0], covered(grown.shape, even, a.filterShape, strides.one));
    return run(`${forward}BackpropFilter`, { x: inner, dy: even }, valid(strides.one));
  };
}

/** Kernels over volumes [b, d, h, w, c] and the morphological one, made of those over images; see composed.ts. */
import type { Attributes } from "./backend.ts";
import { compose } from "./composed.ts";
import { threefold, withinReach } from "./reach.ts";
import { tf, type Tensor, type Tensor3D, type Tensor4D, type Tensor5D } from "./tfjs.ts";

type Range = [number, number];

/** Every stride-th element of axis 1 of x [b, d, ...], `length` of them from `from` on. */
function every(x: Tensor, from: number, length: number, stride: number): Tensor {
  const whole = x.shape.slice(2);
  const rest = whole.map(() => 0);
  if (stride === 1) return tf.slice(x, [0, from, ...rest], [x.shape[0] as number, length, ...whole]);
  const end = from + (length - 1) * stride + 1;
  return tf.stridedSlice(x, [0, from, ...rest], [x.shape[0] as number, end, ...whole], [1, stride, ...rest.map(() => 1)]);
}

/** x with zeros around its axes 1 to 3. */
const margins = (x: Tensor5D, sides: Range[]): Tensor5D => tf.pad(x, [[0, 0], ...sides, [0, 0]] as Range[]) as Tensor5D;

compose({
  kernelName: "Conv3D", // for each depth of the kernel a convolution of images, added up
  inputs: ["x", "filter"],
  parts: ({ x, filter }, attributes) => {
    const kernel = filter as Tensor5D;
    const { strides, pad, dilations } = attributes;
    const input = withinReach(x as Tensor5D, kernel.shape.slice(0, 3), attributes);
    const i = tf.backend_util.computeConv3DInfo(input.shape, kernel.shape, strides as never, dilations as never, pad as never);
    const { front, back, top, bottom, left, right } = i.padInfo;
    const padded = margins(input, [
      [front, back],
      [top, bottom],
      [left, right],
    ]);
    const [, , h, w, c] = padded.shape;
    const layers = Array.from({ length: i.filterDepth }, (_, depth) => {
      const images = tf.reshape(every(padded, depth * i.dilationDepth, i.outDepth, i.strideDepth), [i.batchSize * i.outDepth, h, w, c]);
      const weights = tf.reshape(tf.slice(kernel, [depth, 0, 0, 0, 0], [1, ...kernel.shape.slice(1)] as never), kernel.shape.slice(1));
      return tf.conv2d(images as Tensor4D, weights as Tensor4D, [i.strideHeight, i.strideWidth], "valid", "NHWC", [
        i.dilationHeight,
        i.dilationWidth,
      ]);
    });
    return tf.reshape(
      layers.reduce((a, b) => tf.add(a, b)),
      i.outShape,
    );
  },
});

/** A pooling of volumes as one of images over height and width, then one over depth: a mean of means, a maximum of maxima. */
const pooling =
  (pool: typeof tf.avgPool) =>
  ({ x }: Record<string, Tensor>, attributes: Attributes): Tensor => {
    const { filterSize, strides, pad, dimRoundingMode } = attributes;
    const volume = withinReach(x as Tensor5D, threefold(filterSize), attributes);
    const i = tf.backend_util.computePool3DInfo(volume.shape, filterSize as never, strides as never, 1, pad as never, dimRoundingMode);
    const { front, top, left } = i.padInfo;
    const [b, d, h, w, c] = volume.shape;
    /** The padding of an axis, as far as its last window reaches. */
    const side = (before: number, out: number, stride: number, filter: number, length: number): Range => [
      before,
      Math.max(0, (out - 1) * stride + filter - length - before),
    ];
    const rows = side(top, i.outHeight, i.strideHeight, i.filterHeight, h);
    const columns = side(left, i.outWidth, i.strideWidth, i.filterWidth, w);
    const depths = side(front, i.outDepth, i.strideDepth, i.filterDepth, d);
    const images = pool(
      tf.reshape(volume, [b * d, h, w, c]) as Tensor4D,
      [i.filterHeight, i.filterWidth],
      [i.strideHeight, i.strideWidth],
      [[0, 0], rows, columns, [0, 0]],
    );
    const cropped = tf.slice(images, [0, 0, 0, 0], [b * d, i.outHeight, i.outWidth, c]);
    const lines = tf.reshape(cropped, [b, d, i.outHeight * i.outWidth, c]) as Tensor4D;
    const whole = pool(lines, [i.filterDepth, 1], [i.strideDepth, 1], [[0, 0], depths, [0, 0], [0, 0]]);
    return tf.reshape(tf.slice(whole, [0, 0, 0, 0], [b, i.outDepth, i.outHeight * i.outWidth, c]), i.outShape);
  };
compose({ kernelName: "AvgPool3D", inputs: ["x"], parts: pooling(tf.avgPool) });
compose({ kernelName: "MaxPool3D", inputs: ["x"], parts: pooling(tf.maxPool) });

compose({
  kernelName: "Dilation2D", // the greatest of the shifted images plus their tap of the kernel
  inputs: ["x", "filter"],
  parts: ({ x, filter }, { strides, pad, dilations }) => {
    const [image, kernel] = [x as Tensor4D, filter as Tensor3D];
    const i = tf.backend_util.computeDilation2DInfo(image.shape, kernel.shape, strides, pad as never, "NHWC", dilations ?? [1, 1]);
    const { top, bottom, left, right } = i.padInfo;
    const lowest = -3e38; // never the greatest: every window covers some of the image
    const padded = tf.pad(
      image,
      [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ],
      lowest,
    );
    const across = (t: Tensor): Tensor => tf.transpose(t, [0, 2, 1, 3]);
    const taps = Array.from({ length: i.filterHeight * i.filterWidth }, (_, tap) => {
      const [row, column] = [Math.floor(tap / i.filterWidth), tap % i.filterWidth];
      const rows = every(padded, row * i.dilationHeight, i.outHeight, i.strideHeight);
      const met = across(every(across(rows), column * i.dilationWidth, i.outWidth, i.strideWidth));
      return tf.add(met, tf.reshape(tf.slice(kernel, [row, column, 0], [1, 1, i.inChannels]), [i.inChannels]));
    });
    return taps.reduce((a, b) => tf.maximum(a, b));
  },
});

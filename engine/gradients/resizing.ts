/**
 * Gradients of resizing, as transposed products with the matrices that make the values. TensorFlow.js's ignore
 * halfPixelCenters and have no second derivative.
 */
import type { Parts } from "../backend.ts";
import { interpolation, type Resized, selection } from "../interpolation.ts";
import { tf, type Tensor, type Tensor4D } from "../tfjs.ts";
import { registerByParts } from "./register.ts";

/** An image resized by products with a matrix for its rows and one for its columns. */
const resize =
  (matrix: (resized: Resized) => Float32Array): Parts =>
  ({ images }, { size, alignCorners, halfPixelCenters }) => {
    const image = images as Tensor4D;
    const [b, h, w, c] = image.shape;
    const [height, width] = size as [number, number];
    const times = (from: number, to: number, t: Tensor): Tensor =>
      tf.matMul(tf.tensor2d(matrix({ from, to, alignCorners, halfPixelCenters }), [to, from]), t);
    const tall = times(h, height, tf.reshape(image, [b, h, w * c]));
    return tf.reshape(times(w, width, tf.reshape(tall, [b * height, w, c])), [b, height, width, c]);
  };

registerByParts("ResizeBilinear", ["images"], resize(interpolation));
registerByParts("ResizeNearestNeighbor", ["images"], resize(selection));

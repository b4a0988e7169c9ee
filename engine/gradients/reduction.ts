/** Gradients of kernels that reduce or run along an axis. */
import { tf, type Tensor } from "../tfjs.ts";
import { registerByParts, registerUnary } from "./register.ts";

for (const [kernelName, extreme] of [
  ["Max", tf.max],
  ["Min", tf.min],
] as const) {
  registerUnary(kernelName, (dy, x, { axis, reductionIndices = axis as never }) => {
    const best = extreme(x, tf.util.parseAxisParam(reductionIndices, x.shape), true);
    return tf.mul(tf.reshape(dy, best.shape), tf.cast(tf.equal(x, best), "float32"));
  });
}

// TensorFlow.js makes an array of ones for each, which has gigabytes where scores of an attention are summed.
registerUnary("Sum", (dy, x, { axis }) => {
  const axes = tf.util.parseAxisParam(axis, x.shape);
  const kept = x.shape.map((length, i) => (axes.includes(i) ? 1 : length));
  return tf.mul(tf.reshape(dy, kept), tf.fill(x.shape, 1));
});

// TensorFlow.js's is right along the last axis only.
registerUnary("Cumsum", (dy, _x, { axis, exclusive, reverse }) => tf.cumsum(dy, axis, exclusive, !reverse));

// The last of the cumulative products: right where elements are zero, and to any order.
registerByParts("Prod", ["x"], ({ x }, { axis, keepDims }) => {
  const input = x as Tensor;
  const axes = tf.util.parseAxisParam(axis, input.shape);
  const kept = input.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const length = axes.reduce((n, i) => n * (input.shape[i] as number), 1);
  const shape = kept.map((i) => input.shape[i] as number);
  const rows = tf.reshape(tf.transpose(input, [...kept, ...axes]), [...shape, length]);
  const last = tf.slice(tf.cumprod(rows, shape.length), [...shape.map(() => 0), length - 1], [...shape, 1]);
  return tf.reshape(last, keepDims ? input.shape.map((n, i) => (axes.includes(i) ? 1 : n)) : shape);
});

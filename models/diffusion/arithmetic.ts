import { tf } from "../../engine/tfjs.ts";
import type { Tensor } from "../../engine/tfjs.ts";

/** The operations the diffusion formulas need, so that one formula serves float64 numbers and traced tensors alike. */
export interface Arithmetic<T> {
  add: (a: T, b: T | number) => T;
  mul: (a: T, b: T | number) => T;
  div: (a: T | number, b: T) => T;
  sqrt: (a: T) => T;
  log: (a: T) => T;
  exp: (a: T) => T;
  min: (a: T, most: number) => T;
  /** On the straight line between the two rising `xs` that enclose it, of `ys`; beyond both ends the last of them. */
  interpolate: (a: T, xs: Float64Array, ys: Float64Array) => T;
}

/** The part of {@link Arithmetic} a linear combination needs. */
export type Linear<T> = Pick<Arithmetic<T>, "add" | "mul">;

export const numbers: Arithmetic<number> = {
  add: (a, b) => a + b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  sqrt: Math.sqrt,
  log: Math.log,
  exp: Math.exp,
  min: Math.min,
  interpolate: (x, xs, ys) => {
    const above = xs.findIndex((bound) => bound > x);
    const low = Math.max(0, (above === -1 ? xs.length : above) - 1);
    const high = Math.min(low + 1, xs.length - 1);
    const [from, to, start, end] = [xs[low], xs[high], ys[low], ys[high]] as [number, number, number, number];
    return high === low || x <= from ? start : start + ((x - from) / (to - from)) * (end - start);
  },
};

export const tensors: Arithmetic<Tensor> = {
  add: (a, b) => tf.add(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  sqrt: (a) => tf.sqrt(a),
  log: (a) => tf.log(a),
  exp: (a) => tf.exp(a),
  min: (a, most) => tf.minimum(a, most),
  interpolate: (x, xs, ys) => {
    const [bounds, values] = [tf.tensor1d(Float32Array.from(xs)), tf.tensor1d(Float32Array.from(ys))];
    const flat = tf.clipByValue(tf.reshape(x, [-1, 1]), xs[0] as number, xs.at(-1) as number);
    const passed = tf.sum(tf.cast(tf.greaterEqual(flat, tf.reshape(bounds, [1, -1])), "float32"), 1);
    const low = tf.minimum(tf.sub(passed, 1), xs.length - 2);
    const at = (table: Tensor, place: Tensor): Tensor => tf.gather(table, tf.cast(place, "int32") as never);
    const [from, to] = [at(bounds, low), at(bounds, tf.add(low, 1))];
    const [start, end] = [at(values, low), at(values, tf.add(low, 1))];
    const share = tf.div(tf.sub(tf.reshape(flat, [-1]), from), tf.sub(to, from));
    return tf.reshape(tf.add(start, tf.mul(share, tf.sub(end, start))), x.shape);
  },
};

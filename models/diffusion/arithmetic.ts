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
};

export const tensors: Arithmetic<Tensor> = {
  add: (a, b) => tf.add(a, b),
  mul: (a, b) => tf.mul(a, b),
  div: (a, b) => tf.div(a, b),
  sqrt: (a) => tf.sqrt(a),
  log: (a) => tf.log(a),
  exp: (a) => tf.exp(a),
  min: (a, most) => tf.minimum(a, most),
};

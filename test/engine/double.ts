/** Derivatives of a specimen by central differences, in double precision; runs in double-worker.mjs. */
import "../../engine/reach.ts";
import { tf } from "../../engine/tfjs.ts";
import { createDraw } from "./draw.ts";
import { specimens } from "./specimens.ts";

export interface Request {
  kernel: string;
  seed: number;
  inputs: Float64Array[];
  /** Two directions in the space of the inputs. */
  along: [Float64Array[], Float64Array[]];
}

export interface Differences {
  /** Derivative of the loss along the first direction. */
  first: number;
  /** Derivative of that along the second. */
  second: number;
  /** A kink or jump is near: the differences say nothing. */
  kink: boolean;
}

/** Weights of the outputs in the loss, exact in float32. */
export const weightsOf = (length: number): number[] => Array.from({ length }, (_, i) => Math.fround(0.5 + ((i * 0.618034) % 1)));

/** Differences of loss = sum of weights times squared outputs. */
export function differences({ kernel, seed, inputs, along }: Request): Differences {
  const { shapes, body } = (specimens[kernel] as (typeof specimens)[string])(createDraw(seed, kernel));
  const loss = (a: number, b: number): number =>
    tf.tidy(() => {
      const tensors = inputs.map((values, i) => {
        const moved = values.map((x, j) => x + a * (along[0][i]?.[j] as number) + b * (along[1][i]?.[j] as number));
        return tf.tensor(moved as unknown as Float32Array, shapes[i], "float32");
      });
      const y = body(...tensors).dataSync();
      return weightsOf(y.length).reduce((sum, w, i) => sum + w * (y[i] as number) ** 2, 0);
    });
  const slope = (h: number): number => (8 * (loss(h, 0) - loss(-h, 0)) - (loss(2 * h, 0) - loss(-2 * h, 0))) / (12 * h);
  const curvature = (h: number): number => (loss(h, h) - loss(h, -h) - loss(-h, h) + loss(-h, -h)) / (4 * h * h);
  const [first, second] = [slope(1e-4), (4 * curvature(1e-4) - curvature(2e-4)) / 3];
  const near = (a: number, b: number, tolerance: number): boolean => Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a));
  return { first, second, kink: !near(first, slope(2.3e-4), 1e-6) || !near(second, curvature(2.3e-4), 1e-3) };
}

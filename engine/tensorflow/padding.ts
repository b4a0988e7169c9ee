/** Padding by numbers, which tfjs-node refuses, as padded images under windows without padding. */
import type { Attributes } from "../attributes.ts";
import { tf, type Tensor } from "../tfjs.ts";
import { reach, type Windows } from "../windows.ts";

/** A kernel made of others, or undefined where tfjs-node's own form does. */
export type Mend = (inputs: Record<string, Tensor>, attributes: Attributes) => Tensor | Tensor[] | undefined;

/** Runs a kernel of the backend in use. */
export const run = (kernel: string, inputs: Record<string, Tensor>, attributes: object): Tensor =>
  tf.engine().runKernel(kernel, inputs, attributes as never) as Tensor;

/** How images [b, h, w, c] are padded so that windows without padding are the same. */
export interface Padded {
  grown: (image: Tensor, fill?: number) => Tensor;
  /** The shape of a grown image. */
  shape: number[];
  /** Takes from an image of that shape the part that is not padding. */
  shrunk: (image: Tensor) => Tensor;
  top: number;
  left: number;
}

/** The padding of images of `shape` under the windows described. */
export function padded(info: Windows, shape: number[]): Padded {
  const { top, left, bottom, right } = reach(info);
  const [b, h, w, c] = shape as [number, number, number, number];
  const sides: [number, number][] = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  return {
    grown: (image, fill = 0) => tf.pad(image, sides, fill),
    shape: [b, top + h + bottom, left + w + right, c],
    shrunk: (image) => tf.slice(image, [0, top, left, 0], [b, h, w, c]),
    top,
    left,
  };
}

/** Whether padding is "same" or "valid", which TensorFlow has itself. */
export const isNamed = ({ pad }: Attributes): boolean => pad === "same" || pad === "valid";
/** The same windows without padding. */
export const valid = (a: Attributes): Attributes => ({ ...a, pad: "valid", dimRoundingMode: undefined as never });

/** How a gradient is registered with TensorFlow.js, by what it is made of. */
import type { Attributes, Parts } from "../backend.ts";
import { tf, type Tensor } from "../tfjs.ts";

export interface Gradient {
  kernelName: string;
  /** The inputs that the gradient reads, and the only ones it has gradients for unless `by` names more. */
  saves: string[];
  /** Makes the gradient by each input from dy and the saved inputs. */
  by: (dy: Tensor, saved: Record<string, Tensor>, attributes: Attributes) => Record<string, () => Tensor>;
}

/** Registers the gradient of a kernel with one output, in place of TensorFlow.js's. */
export function register({ kernelName, saves, by }: Gradient): void {
  tf.registerGradient({
    kernelName,
    inputsToSave: saves,
    gradFunc: (dy, saved, attributes) => {
      const named = Object.fromEntries(saves.map((name, i) => [name, saved[i] as Tensor]));
      return by(dy as Tensor, named, attributes as never);
    },
  });
}

/** Registers the gradient of a kernel of one input. */
export function registerUnary(kernelName: string, gradient: (dy: Tensor, x: Tensor, attributes: Attributes) => Tensor, input = "x"): void {
  register({
    kernelName,
    saves: [input],
    by: (dy, saved, attributes) => ({ [input]: () => gradient(dy, saved[input] as Tensor, attributes) }),
  });
}

/** The gradient that follows from the parts of a kernel, right to any order. `inputs` are those it reads, "array" all of a list. */
export function registerByParts(kernelName: string, inputs: string[] | "array", parts: Parts): void {
  tf.registerGradient({
    kernelName,
    ...(inputs === "array" ? { saveAllInputs: true } : { inputsToSave: inputs }),
    gradFunc: (dy, saved, attributes) => {
      const names = inputs === "array" ? saved.map((_, i) => String(i)) : inputs;
      const given = Object.fromEntries(names.map((name, i) => [name, saved[i] as Tensor]));
      const by = (name: string) => (): Tensor => {
        const alone = (t: Tensor): Tensor => parts({ ...given, [name]: tf.clone(t) }, attributes as never); // never its own input
        return tf.grad(alone as (t: Tensor) => Tensor)(given[name] as Tensor, dy as Tensor);
      };
      return Object.fromEntries(names.map((name) => [name, by(name)]));
    },
  });
}

/** Zeros of the shape of `t`, in the only dtype a gradient may have. */
export const noGradient = (t: Tensor) => (): Tensor => tf.zeros(t.shape);

/** `t` summed over the axes along which it was broadcast from `shape`. */
export function unbroadcast(t: Tensor, shape: number[]): Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, t.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(t, axes) : t, shape);
}

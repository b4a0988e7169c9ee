/**
 * Volumes with padding "same" whose filter is smaller than its stride. There TensorFlow.js pads by a negative number, half of it in
 * front, so that the first window begins behind the first element; TensorFlow, and TensorFlow.js over images, pad by nothing and leave
 * out what no window reaches. Without these elements both agree.
 */
import type { Attributes } from "./attributes.ts";
import { tf, type Tensor5D } from "./tfjs.ts";

/** A number for each axis of a volume, where one may stand for three. */
export const threefold = (given: number | readonly number[]): number[] =>
  typeof given === "number" ? [given, given, given] : given.slice(-3);

/**
 * `x` [b, d, h, w, c] without the ends of its axes that no window of `filter` [d, h, w] reaches with padding "same"; `x` itself where
 * there are none.
 */
export function withinReach(x: Tensor5D, filter: readonly number[], { strides, pad, dilations }: Attributes): Tensor5D {
  if (pad !== "same") return x;
  const [steps, apart] = [threefold(strides), threefold(dilations ?? 1)];
  const kept = x.shape.map((length, axis) => {
    const [size, step, gap] = [filter[axis - 1], steps[axis - 1], apart[axis - 1]];
    if (size === undefined || step === undefined || gap === undefined) return length; // of pictures or channels
    return Math.min(length, (Math.ceil(length / step) - 1) * step + (size - 1) * gap + 1);
  });
  return kept.every((length, axis) => length === x.shape[axis]) ? x : tf.slice(x, [0, 0, 0, 0, 0], kept as never);
}

// The kernels of TensorFlow.js's CPU backend, which device "eager" runs.
for (const kernelName of ["Conv3D", "AvgPool3D", "MaxPool3D"]) {
  const backendName = "cpu";
  const { kernelFunc } = tf.getKernel(kernelName, backendName);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    kernelName,
    backendName,
    kernelFunc: (call) => {
      const attributes = call.attrs as unknown as Attributes;
      const { x, filter } = call.inputs as unknown as { x: Tensor5D; filter?: Tensor5D };
      const within = withinReach(x, filter ? filter.shape.slice(0, 3) : threefold(attributes.filterSize), attributes);
      const made = kernelFunc({ ...call, inputs: { ...call.inputs, x: within } });
      if (within !== x) within.dispose();
      return made;
    },
  });
}

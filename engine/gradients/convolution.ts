/**
 * Gradients of convolutions, and of those gradients: each of the three kernels is linear in both its inputs, and each
 * derivative is one of the other two. TensorFlow.js has none for dilated ones and none of the kernel's gradient.
 */
import { type Attributes, BACKEND } from "../backend.ts";
import { tf, type Tensor } from "../tfjs.ts";
import { register } from "./register.ts";

const run = (kernel: string, inputs: Record<string, Tensor>, attributes: object): Tensor =>
  tf.engine().runKernel(kernel, inputs, attributes as never) as Tensor;

/** Only the recording backend's kernels know dilated gradients. */
const foreign = ({ dilations }: Attributes): boolean =>
  tf.getBackend() !== BACKEND && ([dilations ?? 1].flat() as number[]).some((n) => n > 1);

/** A kernel [h, w, in, out] with zeros between its taps: without dilation it does what the given one does dilated. */
export function spaced(filter: Tensor, { dilations }: Attributes): Tensor {
  const [h, w, c, m] = filter.shape as [number, number, number, number];
  const [down, across] = typeof dilations === "number" ? [dilations, dilations] : (dilations as [number, number]);
  const apart = tf.pad(tf.reshape(filter, [h, 1, w, 1, c * m]), [
    [0, 0],
    [0, down - 1],
    [0, 0],
    [0, across - 1],
    [0, 0],
  ]);
  return tf.slice(tf.reshape(apart, [h * down, w * across, c, m]), [0, 0, 0, 0], [(h - 1) * down + 1, (w - 1) * across + 1, c, m]);
}

const FAMILIES = [
  { forward: "Conv2D", byInput: "Conv2DBackpropInput", byFilter: "Conv2DBackpropFilter" },
  {
    forward: "DepthwiseConv2dNative",
    byInput: "DepthwiseConv2dNativeBackpropInput",
    byFilter: "DepthwiseConv2dNativeBackpropFilter",
  },
];
for (const { forward, byInput, byFilter } of FAMILIES) {
  const convolve = (x: Tensor, filter: Tensor, a: Attributes): Tensor =>
    run(forward, { x, filter }, { ...a, dilations: a.dilations ?? [1, 1] });
  const inputOf = (dy: Tensor, filter: Tensor, inputShape: number[], a: Attributes): Tensor =>
    run(byInput, { dy, filter }, { ...a, inputShape });
  const filterOf = (x: Tensor, dy: Tensor, filterShape: number[], a: Attributes): Tensor => run(byFilter, { x, dy }, { ...a, filterShape });

  register({
    kernelName: forward,
    saves: ["x", "filter"],
    by: (dy, saved, a) => {
      const { x, filter } = saved as { x: Tensor; filter: Tensor };
      if (foreign(a)) {
        const plain = (t: Tensor, f: Tensor): Tensor => convolve(t, spaced(f, a), { ...a, dilations: [1, 1] });
        return {
          x: () => tf.grad((t: Tensor) => plain(t, filter))(x, dy),
          filter: () => tf.grad((f: Tensor) => plain(x, f))(filter, dy),
        };
      }
      return { x: () => inputOf(dy, filter, x.shape, a), filter: () => filterOf(x, dy, filter.shape, a) };
    },
  });
  register({
    kernelName: byInput,
    saves: ["dy", "filter"],
    by: (ddx, saved, a) => {
      const { dy, filter } = saved as { dy: Tensor; filter: Tensor };
      return { dy: () => convolve(ddx, filter, a), filter: () => filterOf(ddx, dy, filter.shape, a) };
    },
  });
  register({
    kernelName: byFilter,
    saves: ["x", "dy"],
    by: (ddf, saved, a) => {
      const { x, dy } = saved as { x: Tensor; dy: Tensor };
      return { x: () => inputOf(dy, ddf, x.shape, a), dy: () => convolve(x, ddf, a) };
    },
  });
}

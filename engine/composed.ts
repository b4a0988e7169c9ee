/**
 * Kernels that are made of other operations. What a compiled program records for them and, for those with `inputs`, their
 * gradient follow from the parts.
 */
import { type Attributes, type Parts, refuse, translateByParts } from "./backend.ts";
import { registerByParts } from "./gradients/register.ts";
import { tf, type Tensor } from "./tfjs.ts";

interface Composed {
  kernelName: string;
  /** The inputs that have gradients; none where TensorFlow.js's own gradient is right. */
  inputs?: string[] | "array";
  parts: Parts;
}

/** Registers the translation of a kernel and, where its inputs are named, its gradient. */
export function compose({ kernelName, inputs, parts }: Composed): void {
  translateByParts(kernelName, parts);
  if (inputs) registerByParts(kernelName, inputs, parts);
}

/** One or two tensors; labels that only one of two has and the result lacks are summed first, then it is a product of matrices. */
function einsum(equation: string, tensors: Tensor[]): Tensor {
  const [left, out] = equation.replace(/\s/g, "").split("->") as [string, string];
  const terms = left.split(",");
  const operands = tensors.map((tensor, i) => {
    const labels = [...(terms[i] as string)];
    const others = out + terms.filter((_, j) => j !== i).join("");
    const lonely = labels.map((_, axis) => axis).filter((axis) => !others.includes(labels[axis] as string));
    const kept = labels.filter((label) => others.includes(label));
    return { labels: kept, tensor: lonely.length > 0 ? tf.sum(tensor, lonely) : tensor };
  });
  const order = ({ labels, tensor }: { labels: string[]; tensor: Tensor }, wanted: string[]): Tensor =>
    tf.transpose(
      tensor,
      wanted.map((label) => labels.indexOf(label)),
    );
  const [a, b] = operands as [(typeof operands)[0], (typeof operands)[0] | undefined];
  if (!b) return order(a, [...out]);
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => out.includes(label));
  const contracted = shared.filter((label) => !out.includes(label));
  const rows = a.labels.filter((label) => !shared.includes(label));
  const columns = b.labels.filter((label) => !shared.includes(label));
  const length = (labels: string[]): number[] =>
    labels.map(
      (label) => (a.labels.includes(label) ? a.tensor.shape[a.labels.indexOf(label)] : b.tensor.shape[b.labels.indexOf(label)]) as number,
    );
  const size = (labels: string[]): number => length(labels).reduce((n, m) => n * m, 1);
  const product = tf.matMul(
    tf.reshape(order(a, [...batch, ...rows, ...contracted]), [size(batch), size(rows), size(contracted)]),
    tf.reshape(order(b, [...batch, ...contracted, ...columns]), [size(batch), size(contracted), size(columns)]),
  );
  const labels = [...batch, ...rows, ...columns];
  return order({ labels, tensor: tf.reshape(product, length(labels)) }, [...out]);
}
compose({ kernelName: "Einsum", inputs: "array", parts: (inputs, { equation }) => einsum(equation, Object.values(inputs)) });

compose({
  kernelName: "Cumprod", // in steps that double the number of factors
  inputs: ["x"],
  parts: ({ x }, { axis, exclusive, reverse }) => {
    const input = x as Tensor;
    const at = tf.util.parseAxisParam(axis, input.shape)[0] as number;
    const length = input.shape[at] as number;
    /** `t` moved `by` places along the axis, with ones before it. */
    const shifted = (t: Tensor, by: number): Tensor => {
      const kept = tf.slice(
        t,
        t.shape.map(() => 0),
        t.shape.map((n, i) => (i === at ? n - by : n)),
      );
      return tf.pad(
        kept,
        t.shape.map((_, i) => [i === at ? by : 0, 0]),
        1,
      );
    };
    const turned = (t: Tensor): Tensor => (reverse ? tf.reverse(t, at) : t);
    let product = turned(input);
    for (let by = 1; by < length; by *= 2) product = tf.mul(product, shifted(product, by));
    return turned(exclusive ? shifted(product, 1) : product);
  },
});

compose({
  kernelName: "MirrorPad",
  inputs: ["x"],
  parts: ({ x }, { paddings, mode }) =>
    paddings.reduce((t, [before, after], axis) => {
      const n = t.shape[axis] as number;
      const border = mode === "reflect" ? 1 : 0; // "symmetric" repeats the element at the border too
      const turned = (from: number, length: number): Tensor[] => {
        const shape = t.shape.map((m, i) => (i === axis ? length : m));
        return length > 0
          ? [
              tf.reverse(
                tf.slice(
                  t,
                  shape.map((_, i) => (i === axis ? from : 0)),
                  shape,
                ),
                axis,
              ),
            ]
          : [];
      };
      return tf.concat([...turned(border, before), t, ...turned(n - border - after, after)], axis);
    }, x as Tensor),
});

/** `x` [batch, ...] with blocks of its space as batch: SpaceToBatchND. */
compose({
  kernelName: "SpaceToBatchND",
  inputs: ["x"],
  parts: ({ x }, { blockShape, paddings }) => {
    const input = x as Tensor;
    const padded = tf.pad(
      input,
      input.shape.map((_, i) => paddings[i - 1] ?? [0, 0]),
    );
    const { getReshaped, getPermuted, getReshapedPermuted } = tf.backend_util;
    const blocks = tf.util.sizeFromShape(blockShape);
    const split = getReshaped(padded.shape, blockShape, blocks, false);
    const moved = tf.transpose(tf.reshape(padded, split), getPermuted(split.length, blockShape.length, false));
    return tf.reshape(moved, getReshapedPermuted(padded.shape, blockShape, blocks, false));
  },
});
compose({
  kernelName: "BatchToSpaceND",
  inputs: ["x"],
  parts: ({ x }, { blockShape, crops }) => {
    const input = x as Tensor;
    const { getReshaped, getPermuted, getReshapedPermuted, getSliceBeginCoords, getSliceSize } = tf.backend_util;
    const blocks = tf.util.sizeFromShape(blockShape);
    const split = getReshaped(input.shape, blockShape, blocks);
    const moved = tf.transpose(tf.reshape(input, split), getPermuted(split.length, blockShape.length));
    const whole = getReshapedPermuted(input.shape, blockShape, blocks);
    const begin = getSliceBeginCoords(crops, blockShape.length);
    return tf.slice(tf.reshape(moved, whole), begin, getSliceSize(whole, crops, blockShape.length));
  },
});
compose({
  kernelName: "DepthToSpace",
  inputs: ["x"],
  parts: ({ x }, { blockSize: n }) => {
    const [b, h, w, c] = (x as Tensor).shape as [number, number, number, number];
    const split = tf.reshape(x as Tensor, [b, h, w, n, n, c / n ** 2]);
    return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4, 5]), [b, h * n, w * n, c / n ** 2]);
  },
});

compose({
  kernelName: "LRN", // the sum over neighbouring channels is a product with a band of ones
  inputs: ["x"],
  parts: ({ x }, { depthRadius, bias, alpha, beta }) => {
    const input = x as Tensor;
    const c = input.shape.at(-1) as number;
    const band = Array.from({ length: c * c }, (_, i) => (Math.abs(Math.floor(i / c) - (i % c)) <= depthRadius ? 1 : 0));
    const sums = tf.matMul(tf.reshape(tf.square(input), [input.size / c, c]), tf.tensor2d(band, [c, c]));
    return tf.mul(input, tf.pow(tf.add(tf.mul(tf.reshape(sums, input.shape), alpha ?? 1), bias), -beta));
  },
});

compose({
  kernelName: "FusedBatchNorm",
  parts: ({ x, mean, variance, scale, offset }, { varianceEpsilon }) => {
    const deviation = tf.rsqrt(tf.add(variance as Tensor, varianceEpsilon ?? 0.001));
    const standard = tf.mul(tf.sub(x as Tensor, mean as Tensor), scale ? tf.mul(deviation, scale) : deviation);
    return offset ? tf.add(standard, offset) : standard;
  },
});

/** What tf.fused and tf.layers emit. Where gradients are taken TensorFlow.js writes the parts out itself. */
export const fusedParts: Record<string, Parts> = {};
const FUSED = { _FusedMatMul: "BatchMatMul", FusedConv2D: "Conv2D", FusedDepthwiseConv2D: "DepthwiseConv2dNative" };
for (const [kernelName, product] of Object.entries(FUSED)) {
  const parts: Parts = ({ bias, preluActivationWeights, ...operands }, attributes) => {
    const y = tf.engine().runKernel(product, operands, attributes as never) as Tensor;
    return activate(bias ? tf.add(y, bias) : y, attributes, preluActivationWeights);
  };
  fusedParts[kernelName] = parts;
  compose({ kernelName, parts });
}

function activate(x: Tensor, { activation, leakyreluAlpha }: Attributes, slopes: Tensor | undefined): Tensor {
  if (activation === "prelu") return tf.prelu(x, slopes as Tensor);
  if (activation === "leakyrelu") return tf.leakyRelu(x, leakyreluAlpha);
  const plain = { linear: (t: Tensor) => t, relu: tf.relu, relu6: tf.relu6, elu: tf.elu, sigmoid: tf.sigmoid }[activation ?? "linear"];
  if (!plain) throw refuse(`has activation "${activation}"`, "write the activation as its own operation");
  return plain(x) as Tensor;
}

/** Pooling and its gradients on TensorFlow: padding by numbers, and the places of maxima. */
import type { Attributes } from "../attributes.ts";
import { tf, type Tensor } from "../tfjs.ts";
import type { Made, TensorflowBackend } from "./backend.ts";
import { isNamed, type Mend, padded, run, valid } from "./padding.ts";

/** By the kernel's name. */
export const poolings: Record<string, Mend> = {};

/** Lower than any number that a network computes, and finite: a gradient of zero times it is zero. */
const LOWEST = -3e38;

const poolWindows = (x: Tensor, a: Attributes) =>
  tf.backend_util.computePool2DInfo(x.shape as never, a.filterSize, a.strides, 1, a.pad, a.dimRoundingMode);

poolings.AvgPool = ({ x }, a) => {
  if (isNamed(a)) return undefined;
  const room = padded(poolWindows(x as Tensor, a), (x as Tensor).shape);
  const [, h, w] = (x as Tensor).shape as [number, number, number];
  const share = run("AvgPool", { x: room.grown(tf.ones([1, h, w, 1])) }, valid(a)); // of each window the part that is image
  return tf.div(run("AvgPool", { x: room.grown(x as Tensor) }, valid(a)), share);
};
poolings.AvgPoolGrad = ({ dy, input }, a) => {
  if (isNamed(a)) return undefined;
  const room = padded(poolWindows(input as Tensor, a), (input as Tensor).shape);
  return room.shrunk(run("AvgPoolGrad", { dy: dy as Tensor, input: room.grown(input as Tensor) }, valid(a)));
};
poolings.MaxPool = ({ x }, a) => {
  if (isNamed(a)) return undefined;
  return run("MaxPool", { x: padded(poolWindows(x as Tensor, a), (x as Tensor).shape).grown(x as Tensor, LOWEST) }, valid(a));
};
poolings.MaxPoolGrad = ({ dy, input, output }, a) => {
  if (isNamed(a)) return undefined;
  const room = padded(poolWindows(input as Tensor, a), (input as Tensor).shape);
  const grown = room.grown(input as Tensor, LOWEST);
  return room.shrunk(run("MaxPoolGrad", { dy: dy as Tensor, input: grown, output: output as Tensor }, valid(a)));
};
/** Not among tfjs-node's kernels; always with indices over the whole batch. */
poolings.MaxPoolWithArgmax = ({ x }, a) => {
  const image = x as Tensor;
  const room = padded(poolWindows(image, a), image.shape);
  const { filterHeight, filterWidth, strideHeight, strideWidth } = poolWindows(image, a);
  const backend = tf.backend() as unknown as TensorflowBackend;
  const { binding } = backend;
  const { TF_ATTR_INT, TF_ATTR_STRING, TF_ATTR_BOOL, TF_ATTR_TYPE, TF_FLOAT, TF_INT32, TF_INT64 } = binding;
  const [first, long] = binding.executeOp(
    "MaxPoolWithArgmax",
    [
      { name: "T", type: TF_ATTR_TYPE, value: TF_FLOAT },
      { name: "Targmax", type: TF_ATTR_TYPE, value: TF_INT64 }, // the only one that it has on a GPU
      { name: "ksize", type: TF_ATTR_INT, value: [1, filterHeight, filterWidth, 1] },
      { name: "strides", type: TF_ATTR_INT, value: [1, strideHeight, strideWidth, 1] },
      { name: "padding", type: TF_ATTR_STRING, value: "VALID" },
      { name: "include_batch_in_index", type: TF_ATTR_BOOL, value: true },
    ],
    backend.getInputTensorIds([room.grown(image, LOWEST)]),
    2,
  ) as [Made, Made];
  const types = [
    { name: "SrcT", type: TF_ATTR_TYPE, value: TF_INT64 },
    { name: "DstT", type: TF_ATTR_TYPE, value: TF_INT32 },
    { name: "Truncate", type: TF_ATTR_BOOL, value: false },
  ];
  const at = backend.createOutputTensor(binding.executeOp("Cast", types, [long.id], 1)[0] as Made);
  binding.deleteTensor(long.id); // which TensorFlow.js has no type for
  // From places in the grown images to places in those given.
  const [, high, wide, c] = room.shape as [number, number, number, number];
  const [, h, w] = image.shape as [number, number, number];
  const whole = (n: number): Tensor => tf.scalar(n, "int32");
  const [pixel, channel] = [tf.floorDiv(at, whole(c)), tf.mod(at, whole(c))];
  const [line, column] = [tf.floorDiv(pixel, whole(wide)), tf.mod(pixel, whole(wide))];
  const [picture, row] = [tf.floorDiv(line, whole(high)), tf.mod(line, whole(high))];
  const inside = tf.add(tf.mul(tf.sub(row, whole(room.top)), whole(w)), tf.sub(column, whole(room.left)));
  return [backend.createOutputTensor(first), tf.add(tf.mul(tf.add(tf.mul(picture, whole(h * w)), inside), whole(c)), channel)];
};

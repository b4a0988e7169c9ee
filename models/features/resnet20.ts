/**
 * ResNet-20 for 32x32 images (He et al. 2016, section 4.2, shortcut A), weights named as in Idelbayev's
 * pytorch_resnet_cifar10. Features are the 64 spatial means before the classifier.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layoutDifferences, type Shapes, type Weights } from "../../engine/weights.ts";
import { parameter, type Parameters } from "../layers.ts";
import { type Architecture, toChannelsLast } from "./network.ts";

const MEAN = [0.485, 0.456, 0.406]; // of x / 255, as in training
const STD = [0.229, 0.224, 0.225];
const EPSILON = 1e-5; // batch normalisation

/** The stages of three blocks each: their channels, and the stride of their first block. */
const STAGES = [
  { name: "layer1", channels: 16, first: 1 },
  { name: "layer2", channels: 32, first: 2 },
  { name: "layer3", channels: 64, first: 2 },
] as const;

/** Tensors of the published file that features do not depend on: the classifier, and counters of batch normalisation. */
const UNUSED = /^linear\.(weight|bias)$|(^|\.)bn\d\.num_batches_tracked$/;

/** In words, what of these tensors is not the network's. */
export function resnet20Differences(found: Shapes): string[] {
  const expected: Record<string, { shape: number[] }> = {};
  const add = (convolution: string, inputs: number, outputs: number): void => {
    expected[`${convolution}.weight`] = { shape: [outputs, inputs, 3, 3] };
    for (const field of FIELDS) expected[`${convolution.replace("conv", "bn")}.${field}`] = { shape: [outputs] };
  };
  add("conv1", 3, 16);
  let inputs = 16;
  for (const { name, channels } of STAGES) {
    for (const block of [0, 1, 2]) {
      add(`${name}.${block}.conv1`, inputs, channels);
      add(`${name}.${block}.conv2`, channels, channels);
      inputs = channels;
    }
  }
  return layoutDifferences(expected, Object.fromEntries(Object.entries(found).filter(([name]) => !UNUSED.test(name))));
}

/** Of a batch normalisation. */
const FIELDS = ["weight", "bias", "running_mean", "running_var"];

/** Takes the published tensors; batch normalisation is folded into the convolutions. */
export function resnet20(tensors: Weights): Architecture {
  const parameters: Weights = {};
  for (const name of Object.keys(tensors).filter((key) => key.includes("conv"))) {
    const layer = name.replace(/\.weight$/, "");
    const normalisation = layer.replace("conv", "bn");
    const field = (of: string) => tensors[`${normalisation}.${of}`]!.data;
    const scale = field("weight").map((value, i) => value / Math.sqrt(field("running_var")[i]! + EPSILON));
    const kernel = toChannelsLast(tensors[name]!);
    kernel.data = kernel.data.map((value, at) => value * scale[at % scale.length]!);
    const bias = field("bias").map((value, i) => value - field("running_mean")[i]! * scale[i]!);
    parameters[`${layer}.kernel`] = kernel;
    parameters[`${layer}.bias`] = { shape: [bias.length], data: bias };
  }
  const maps = STAGES.map(({ channels }, i) => ({ channels, stride: 2 ** i }));
  return { kind: "resnet20", name: "ResNet-20 (CIFAR-10)", dimension: 64, parameters, apply, maps };
}

function apply(parameters: Parameters, images: Tensor): Tensor {
  return tf.mean(resnet20Taps(parameters, images).at(-1) as Tensor, [1, 2]);
}

/** RGB images [batch, height, width, 3], 0..255, to the ends of its three stages, at 1, 1/2 and 1/4 of the side. */
export function resnet20Taps(parameters: Parameters, images: Tensor): Tensor[] {
  const centred = tf.sub(tf.div(images, 255), tf.tensor1d(MEAN));
  let x = tf.relu(conv3x3(parameters, "conv1", tf.div(centred, tf.tensor1d(STD)), 1));
  return STAGES.map(({ name, first }) => {
    for (const block of [0, 1, 2]) {
      const stride = block === 0 ? first : 1;
      const inner = tf.relu(conv3x3(parameters, `${name}.${block}.conv1`, x, stride));
      const shortcut = stride === 1 ? x : halve(x);
      x = tf.relu(tf.add(conv3x3(parameters, `${name}.${block}.conv2`, inner, 1), shortcut));
    }
    return x;
  });
}

/** One pixel of padding on every side: with stride 2 that samples other positions than "same" would. */
function conv3x3(parameters: Parameters, name: string, x: Tensor, stride: number): Tensor {
  const padded = tf.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  const y = tf.conv2d(padded as never, parameter(parameters, `${name}.kernel`) as never, stride, "valid");
  return tf.add(y, parameter(parameters, `${name}.bias`));
}

/** Shortcut A: every second pixel, and zero channels added equally before and after. */
function halve(x: Tensor): Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const rows = tf.slice(tf.reshape(x, [batch, height / 2, 2, width * channels]), [0, 0, 0, 0], [-1, -1, 1, -1]);
  const pairs = tf.reshape(rows, [batch, height / 2, width / 2, 2 * channels]);
  const pixels = tf.slice(pairs, [0, 0, 0, 0], [-1, -1, -1, channels]);
  return tf.pad(pixels, [
    [0, 0],
    [0, 0],
    [0, 0],
    [channels / 2, channels / 2],
  ]);
}

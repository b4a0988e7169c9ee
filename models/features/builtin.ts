/**
 * The feature network that ships with the project, for when no published one is at hand: four strided convolutions,
 * trained to name the attributes of the built-in pictures. Its distances rank models of that set; they cannot be
 * compared with distances in any other network's space.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layoutDifferences, type Shapes, type Weights } from "../../engine/weights.ts";
import { createInitialiser } from "../initialise.ts";
import { conv, groupNorm, linear, type Parameters } from "../layers.ts";
import type { Architecture } from "./network.ts";

const CHANNELS = [32, 64, 96, 64];
const GROUPS = 8;

/** Side of the pictures it is trained on, in pixels. */
export const BUILTIN_SIZE = 64;

/** Initial weights; `targets` is how many attributes the classifier names. */
export function initBuiltin({ targets }: { targets: number }, seed: number): Weights {
  const initialiser = createInitialiser(seed);
  CHANNELS.forEach((channels, level) => {
    initialiser.conv(`convs.${level}`, 3, CHANNELS[level - 1] ?? 3, channels, { gain: Math.SQRT2 });
    if (level > 0) initialiser.norm(`norms.${level}`, channels);
  });
  initialiser.linear("head", CHANNELS.at(-1)!, targets);
  return initialiser.weights;
}

/** RGB images [batch, height, width, 3], 0..255, to the activations of its levels, at 1/2, 1/4, 1/8 and 1/16 of the side. */
export function builtinTaps(parameters: Parameters, images: Tensor): Tensor[] {
  let x: Tensor = tf.sub(tf.div(images, 127.5), 1);
  return CHANNELS.map((_, level) => {
    x = conv(parameters, `convs.${level}`, x, { stride: 2 });
    // The first level stays as it is, so that overall brightness and contrast count.
    if (level > 0) x = groupNorm(parameters, `norms.${level}`, x, GROUPS);
    x = tf.relu(x);
    return x;
  });
}

/** RGB images [batch, height, width, 3], 0..255, to features [batch, 64]: spatial means of the last activations. */
function applyBuiltin(parameters: Parameters, images: Tensor): Tensor {
  return tf.mean(builtinTaps(parameters, images).at(-1) as Tensor, [1, 2]);
}

/** Logits [batch, targets] of the attributes. */
export function classifyBuiltin(parameters: Parameters, images: Tensor): Tensor {
  return linear(parameters, "head", applyBuiltin(parameters, images));
}

/** Training loss, a scalar: mean binary cross-entropy of the logits against `targets` [batch, targets] of 0 and 1. */
export function builtinLoss(parameters: Parameters, { images, targets }: { images: Tensor; targets: Tensor }): Tensor {
  const logits = classifyBuiltin(parameters, images);
  return tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, targets)));
}

/** In words, what of these tensors is not the network's; of the classifier's head, which is not used, any number of targets will do. */
export function builtinDifferences(found: Shapes): string[] {
  const targets = found["head.bias"]?.shape[0];
  const expected = Object.entries(initBuiltin({ targets: targets ?? 0 }, 0));
  return layoutDifferences(Object.fromEntries(expected.filter(([name]) => targets !== undefined || !isHead(name))), found);
}

const isHead = (name: string): boolean => name.startsWith("head.");

/** Trained weights as a feature network; the classifier's head is left behind. */
export function builtin(tensors: Weights): Architecture {
  const parameters = Object.fromEntries(Object.entries(tensors).filter(([name]) => !isHead(name)));
  return {
    kind: "builtin",
    name: "built-in attribute classifier",
    dimension: CHANNELS.at(-1)!,
    parameters,
    apply: applyBuiltin,
    maps: CHANNELS.map((channels, level) => ({ channels, stride: 2 ** (level + 1) })),
  };
}

/**
 * Frozen image networks inside traced functions: their feature maps of images of any size, through which gradients flow.
 * Perceptual distances of decoded images and discriminators over several networks read them as one frozen set.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { type Parameters, separable } from "../layers.ts";
import { builtinTaps } from "./builtin.ts";
import { mobilenetTaps } from "./mobilenet.ts";
import type { FeatureDescription } from "./network.ts";
import { resizeMatrix } from "./resize.ts";
import { resnet20Taps } from "./resnet20.ts";

const taps = {
  builtin: builtinTaps,
  resnet20: resnet20Taps,
  mobilenet: (parameters, images, { layers = [] }) => mobilenetTaps(parameters, images, layers),
} satisfies Record<FeatureDescription["kind"], (parameters: Parameters, images: Tensor, description: FeatureDescription) => Tensor[]>;

/**
 * The feature maps of one network for images [b, h, w, 3] in [-1, 1], from fine to coarse, each [b, side, side, channels] as
 * `description.maps` says. Images are brought to the network's size first, by the filter that distances are measured with,
 * not clamped. `parameters` are that network's own.
 */
export function tracedFeatures(description: FeatureDescription): (parameters: Parameters, images: Tensor) => Tensor[] {
  const { kind, size } = description;
  return (parameters, images) => taps[kind](parameters, tf.mul(tf.add(resized(images, size), 1), 127.5), description);
}

/** The same of several networks, a list for each, over the set of all their parameters ("0.NAME", "1.NAME" ...). */
export function tracedFeatureSets(descriptions: readonly FeatureDescription[]): (parameters: Parameters, images: Tensor) => Tensor[][] {
  return (parameters, images) => descriptions.map((description, i) => tracedFeatures(description)(parametersAt(parameters, i), images));
}

/** The parameters of one of several networks, out of the set of all. */
export function parametersAt(parameters: Parameters, network: number): Parameters {
  const prefix = `${network}.`;
  const own = Object.entries(parameters).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

function resized(images: Tensor, size: number): Tensor {
  const [, height, width] = images.shape as [number, number, number, number];
  if (height === size && width === size) return images;
  const matrix = (from: number): Tensor => tf.tensor2d(resizeMatrix(from, size), [from, size]);
  return separable(images, { rows: matrix(height), columns: matrix(width) });
}

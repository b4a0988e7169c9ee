/** Layers of EDM's networks (Karras et al. 2022, appendix F.2): residual blocks, their resampling by a filter, and noise features. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { attention, conv, downsample, groupNorm, linear, type Parameters, separable, silu, upsample } from "../layers.ts";
import { paddedConv } from "../published/layers.ts";

/** How the kinds of these networks differ within a block. */
export interface BlockStyle {
  /** Of its norms. */
  epsilon: number;
  /** What every sum of a branch and its shortcut is multiplied by. */
  sumScale: number;
  /** Whether the embedding scales and shifts what it otherwise is added to. */
  isScaled: boolean;
  /** Channels of a head of attention; all of them where it is absent. */
  headWidth?: number;
  /** Whether a shortcut that is resampled has a layer, also where it keeps its channels. */
  hasResampledLayer: boolean;
  /** Weights of the resampling filter. */
  filter: readonly number[];
}

export interface BlockOptions {
  outputs: number;
  hasAttention?: boolean;
  resampling?: "up" | "down";
}

/** Group normalisation of at most 32 groups with at least four channels in each. */
export function edmNorm(parameters: Parameters, name: string, x: Tensor, epsilon: number): Tensor {
  const channels = x.shape[3] as number;
  return groupNorm(parameters, name, x, Math.min(32, Math.floor(channels / 4)), epsilon);
}

/** Half the sides by a filter of an even number of weights, with zeros around the map so that sides halve, or as many as `padding`. */
export function halved(x: Tensor, filter: readonly number[], padding = filter.length / 2 - 1): Tensor {
  if (isBox(filter)) return downsample(x);
  const [, h, w] = x.shape as [number, number, number];
  const matrix = (side: number) => {
    const result = Math.floor((side + 2 * padding - filter.length) / 2) + 1;
    return filterMatrix({
      inputs: side,
      outputs: result,
      weights: normalised(filter, 1),
      at: (input, output) => input - 2 * output + padding,
    });
  };
  return separable(x, { rows: matrix(h), columns: matrix(w) });
}

/** Twice the sides by a filter, the transpose of {@link halved} times four. */
export function doubled(x: Tensor, filter: readonly number[]): Tensor {
  if (isBox(filter)) return upsample(x);
  const [, h, w] = x.shape as [number, number, number];
  const padding = filter.length / 2 - 1;
  const matrix = (side: number) =>
    filterMatrix({ inputs: side, outputs: 2 * side, weights: normalised(filter, 2), at: (input, output) => output - 2 * input + padding });
  return separable(x, { rows: matrix(h), columns: matrix(w) });
}

/**
 * A convolution of 3x3 and then a filter that halves, both over zeros around the input alone: NCSN++'s shortcut from level to level
 * (Karras et al. 2020, StyleGAN 2, which it takes them from).
 */
export function convHalved(parameters: Parameters, name: string, x: Tensor, filter: readonly number[]): Tensor {
  const around = filter.length / 2;
  return halved(paddedConv(parameters, name, x, { padding: [around, around, around, around] }), filter, 0);
}

const isBox = (filter: readonly number[]): boolean => filter.length === 2 && filter[0] === filter[1];

function normalised(filter: readonly number[], sum: number): number[] {
  const total = filter.reduce((a, b) => a + b, 0);
  return filter.map((weight) => (weight * sum) / total);
}

/** [inputs, outputs]: the weight that `at` names for an input and an output, 0 where there is none. */
function filterMatrix(options: {
  inputs: number;
  outputs: number;
  weights: readonly number[];
  at: (input: number, output: number) => number;
}): Tensor {
  const { inputs, outputs, weights, at } = options;
  const values = Float32Array.from({ length: inputs * outputs }, (_, i) => weights[at(Math.floor(i / outputs), i % outputs)] ?? 0);
  return tf.tensor2d(values, [inputs, outputs]);
}

function resampled(x: Tensor, { filter }: BlockStyle, resampling: BlockOptions["resampling"]): Tensor {
  if (resampling === undefined) return x;
  return resampling === "down" ? halved(x, filter) : doubled(x, filter);
}

/** A residual block of x [b, h, w, c] and the embedding [b, width], perhaps with attention after it: [b, h', w', outputs]. */
export function edmBlock(options: {
  style: BlockStyle;
  parameters: Parameters;
  name: string;
  x: Tensor;
  embedding: Tensor;
  block: BlockOptions;
}): Tensor {
  const { style, parameters, name, x, embedding, block } = options;
  const { epsilon, sumScale, isScaled, hasResampledLayer } = style;
  const { outputs, hasAttention = false, resampling } = block;
  const activated = silu(edmNorm(parameters, `${name}.norm0`, x, epsilon));
  const first = conv(parameters, `${name}.conv0`, resampled(activated, style, resampling));
  const affine = tf.reshape(linear(parameters, `${name}.affine`, embedding), [x.shape[0] as number, 1, 1, -1]) as Tensor;
  const second = isScaled
    ? modulated(edmNorm(parameters, `${name}.norm1`, first, epsilon), affine)
    : edmNorm(parameters, `${name}.norm1`, tf.add(first, affine), epsilon);
  const branch = conv(parameters, `${name}.conv1`, silu(second));
  const carried = resampled(x, style, resampling);
  const hasLayer = x.shape[3] !== outputs || (resampling !== undefined && hasResampledLayer);
  const shortcut = hasLayer ? conv(parameters, `${name}.skip`, carried) : carried;
  const sum: Tensor = tf.mul(tf.add(branch, shortcut), sumScale);
  return hasAttention ? tf.mul(tf.add(sum, attended(style, parameters, name, sum)), sumScale) : sum;
}

/** Scales first, shifts second. */
function modulated(x: Tensor, affine: Tensor): Tensor {
  const [scale, shift] = tf.split(affine, 2, -1) as [Tensor, Tensor];
  return tf.add(tf.mul(x, tf.add(scale, 1)), shift);
}

/** Attention among all pixels; its layer makes a query, a key and a value for each channel in turn. */
function attended({ epsilon, headWidth }: BlockStyle, parameters: Parameters, name: string, x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const made = conv(parameters, `${name}.qkv`, edmNorm(parameters, `${name}.norm2`, x, epsilon));
  const parts = tf.split(tf.reshape(made, [b, h * w, c, 3]), 3, -1);
  const [q, k, v] = parts.map((part) => tf.reshape(part, [b, h * w, c])) as [Tensor, Tensor, Tensor];
  const heads = headWidth === undefined ? 1 : Math.floor(c / headWidth);
  return conv(parameters, `${name}.proj`, tf.reshape(attention({ q, k, v, heads }), [b, h, w, c]));
}

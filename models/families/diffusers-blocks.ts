/**
 * Blocks of diffusers' U-Nets, as its modules call them: residual blocks, attention over a map, transformers over its pixels, and
 * what halves and doubles a map. Maps are [b, h, w, c].
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { conv, downsample, groupNorm, linear, type Parameters, silu, upsample } from "../layers.ts";
import { affineNorm, crossAttention, geglu, paddedConv } from "../published/layers.ts";

/** What the residual blocks of a network have in common. */
export interface ResnetSettings {
  groups: number;
  epsilon: number;
  /** Whether the vector scales and shifts the second norm, and is not just added before it. */
  isScaleShift?: boolean;
}

/** ResnetBlock2D: x [b, h, w, in], `vector` [b, width] after its activation; the sum of both paths is divided by `divisor`. */
export function resnetBlock(
  parameters: Parameters,
  name: string,
  x: Tensor,
  options: ResnetSettings & { vector: Tensor; divisor?: number; resampling?: "down" | "up" },
): Tensor {
  const { groups, epsilon, isScaleShift = false, vector, divisor = 1, resampling } = options;
  const resampled = (t: Tensor): Tensor => (resampling === "down" ? halved(t) : resampling === "up" ? upsample(t) : t);
  const first = conv(parameters, `${name}.conv1`, resampled(silu(groupNorm(parameters, `${name}.norm1`, x, groups, epsilon))));
  const channels = first.shape[3] as number;
  const time = linear(parameters, `${name}.time_emb_proj`, vector);
  const norm = (t: Tensor): Tensor => groupNorm(parameters, `${name}.norm2`, t, groups, epsilon);
  const second = conv(parameters, `${name}.conv2`, silu(isScaleShift ? modulated(norm(first), time) : norm(tf.add(first, mapOf(time)))));
  const shortcut = x.shape[3] === channels ? resampled(x) : conv(parameters, `${name}.conv_shortcut`, resampled(x));
  return divided(tf.add(shortcut, second), divisor);
}

/** A vector [b, c] as a map of one pixel. */
const mapOf = (vector: Tensor): Tensor => tf.reshape(vector, [-1, 1, 1, vector.shape[1] as number]);

/** Scaled by the first half of `vector` and shifted by the second. */
function modulated(x: Tensor, vector: Tensor): Tensor {
  const [scale, shift] = tf.split(mapOf(vector), 2, -1) as [Tensor, Tensor];
  return tf.add(tf.mul(x, tf.add(scale, 1)), shift);
}

const divided = (x: Tensor, divisor: number): Tensor => (divisor === 1 ? x : tf.mul(x, 1 / divisor));

/** Means of squares of two pixels; a last odd row or column is left out. */
function halved(x: Tensor): Tensor {
  const [, h, w] = x.shape as [number, number, number, number];
  return downsample(cropped(x, { height: h - (h % 2), width: w - (w % 2) }));
}

/** The upper left part of a map. */
function cropped(x: Tensor, { height, width }: { height: number; width: number }): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return h === height && w === width ? x : tf.slice(x, [0, 0, 0, 0], [b, height, width, c]);
}

/** Downsample2D with its convolution; a padding of 0 stands for one row below and one column on the right. */
export function downsampler(parameters: Parameters, name: string, x: Tensor, padding: number): Tensor {
  const sides = padding === 0 ? ([0, 1, 0, 1] as const) : ([padding, padding, padding, padding] as const);
  return paddedConv(parameters, `${name}.conv`, x, { padding: sides, stride: 2 });
}

/** Upsample2D with its convolution: twice the size, or the odd size one below it that `like` [b, h, w, any] has. */
export function upsampler(parameters: Parameters, name: string, x: Tensor, like: Tensor): Tensor {
  const [, height, width] = like.shape as [number, number, number, number];
  return conv(parameters, `${name}.conv`, cropped(upsample(x), { height, width }));
}

/** Attention of all pixels of x [b, h, w, c] to each other around a residual; `groups` are those of its norm, if it has one. */
export function attentionBlock(
  parameters: Parameters,
  name: string,
  x: Tensor,
  options: { heads: number; groups?: number; epsilon: number; divisor?: number },
): Tensor {
  const { heads, groups, epsilon, divisor = 1 } = options;
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const normal = groups === undefined ? x : groupNorm(parameters, `${name}.group_norm`, x, groups, epsilon);
  const attended = crossAttention(parameters, name, tf.reshape(normal, [b, h * w, c]), { heads });
  return divided(tf.add(tf.reshape(attended, [b, h, w, c]), x), divisor);
}

export interface TransformerOptions {
  /** What its pixels attend to besides each other [b, m, e]. */
  context: Tensor;
  heads: number;
  groups: number;
  depth: number;
  /** Whether the pixels attend to `context` in place of each other. */
  isCrossOnly?: boolean;
}

/** Transformer2DModel over the pixels of a map x [b, h, w, c], around a residual. */
export function transformer(parameters: Parameters, name: string, x: Tensor, options: TransformerOptions): Tensor {
  const { groups, depth } = options;
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const normal = groupNorm(parameters, `${name}.norm`, x, groups, 1e-6);
  let tokens = linear(parameters, `${name}.proj_in`, tf.reshape(normal, [b, h * w, c]));
  for (let i = 0; i < depth; i++) tokens = transformerBlock(parameters, `${name}.transformer_blocks.${i}`, tokens, options);
  return tf.add(tf.reshape(linear(parameters, `${name}.proj_out`, tokens), [b, h, w, c]), x);
}

/** BasicTransformerBlock: tokens [b, n, d] attend to each other, then to the context, and each goes through a gated layer. */
function transformerBlock(
  parameters: Parameters,
  name: string,
  x: Tensor,
  { context, heads, isCrossOnly = false }: TransformerOptions,
): Tensor {
  const norm = (part: string, t: Tensor): Tensor => affineNorm(parameters, `${name}.${part}`, t);
  const first = crossAttention(parameters, `${name}.attn1`, norm("norm1", x), { heads, ...(isCrossOnly && { context }) });
  const own = tf.add(x, first) as Tensor;
  const both = tf.add(own, crossAttention(parameters, `${name}.attn2`, norm("norm2", own), { heads, context })) as Tensor;
  const gated = geglu(parameters, `${name}.ff.net.0.proj`, norm("norm3", both));
  return tf.add(both, linear(parameters, `${name}.ff.net.2`, gated));
}

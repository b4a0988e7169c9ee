/**
 * Layers of published networks, beside those of layers.ts: theirs have scales, shifts and epsilons, padding of their own and
 * activations to the letter. A layer called `name` owns `name.kernel`, `name.bias`, `name.scale`, `name.table`.
 */
import { isForAnyBatch } from "../../engine/backend.ts";
import { asPiece } from "../../engine/marks.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Embedded } from "../encoders/encoder.ts";
import { attention, gelu as quickGelu, layerNorm, linear, type Parameters, parameter, silu, throughKernel } from "../layers.ts";

/** Layer normalisation over the last side, with `name.scale` and, where there is one, `name.bias`. */
export function affineNorm(parameters: Parameters, name: string, x: Tensor, epsilon = 1e-5): Tensor {
  const scaled = tf.mul(layerNorm(x, epsilon), parameter(parameters, `${name}.scale`));
  const bias = parameters[`${name}.bias`];
  return bias ? tf.add(scaled, bias) : scaled;
}

/** Root mean square normalisation over the last side (Zhang & Sennrich 2019), with `name.scale`. */
export function rmsNorm(parameters: Parameters, name: string, x: Tensor, epsilon = 1e-6): Tensor {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
  return tf.mul(tf.mul(x, inverse), parameter(parameters, `${name}.scale`));
}

/** Activations by the names that configs give them. */
export const activations = {
  silu,
  swish: silu,
  relu: (x: Tensor): Tensor => tf.relu(x),
  gelu: (x: Tensor): Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
  "gelu-approximate": geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: quickGelu,
} satisfies Record<string, (x: Tensor) => Tensor>;

/** GELU by its tanh (Hendrycks & Gimpel 2016). */
function geluTanh(x: Tensor): Tensor {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** GEGLU (Shazeer 2020): `name` makes values and gates, values first. */
export function geglu(parameters: Parameters, name: string, x: Tensor): Tensor {
  const [value, gate] = tf.split(linear(parameters, name, x), 2, -1) as [Tensor, Tensor];
  return tf.mul(value, activations.gelu(gate));
}

/** 2-D convolution after padding by [top, bottom, left, right] zeros: x [b, h, w, in]. */
export function paddedConv(
  parameters: Parameters,
  name: string,
  x: Tensor,
  { padding = [1, 1, 1, 1], stride = 1 }: { padding?: readonly [number, number, number, number]; stride?: number } = {},
): Tensor {
  const [top, bottom, left, right] = padding;
  const padded = tf.pad(x, [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
  const y = throughKernel(parameters, name, padded, (map, kernel) => tf.conv2d(map as never, kernel as never, stride, "valid"));
  const bias = parameters[`${name}.bias`];
  return bias ? tf.add(y, bias) : y;
}

/** A row of `name.table` [rows, width] for each of the whole numbers `ids` [...]: [..., width]. */
export function lookup(parameters: Parameters, name: string, ids: Tensor): Tensor {
  return tf.gather(parameter(parameters, `${name}.table`), ids as never) as Tensor;
}

/** Features of times [b] as diffusers' `get_timestep_embedding` makes them: [b, width], sines first unless `cosinesFirst`. */
export function timeFeatures(
  times: Tensor,
  {
    width,
    cosinesFirst,
    shift,
    scale = 1,
    period = 10000,
  }: { width: number; cosinesFirst: boolean; shift: number; scale?: number; period?: number },
): Tensor {
  const half = Math.floor(width / 2);
  const f = Math.fround; // rates are rounded where diffusers rounds them: large times make the difference seen
  const rates = Float32Array.from({ length: half }, (_, i) => Math.exp(f(f(f(-Math.log(period)) * i) / (half - shift))));
  const angles = tf.mul(tf.mul(tf.reshape(times, [-1, 1]), tf.tensor2d(rates, [1, half])), scale);
  const [sines, cosines] = [tf.sin(angles), tf.cos(angles)];
  const features = tf.concat(cosinesFirst ? [cosines, sines] : [sines, cosines], -1);
  return width % 2 === 0
    ? features
    : tf.pad(features, [
        [0, 0],
        [0, 1],
      ]);
}

/** Two linear layers around an activation, diffusers' TimestepEmbedding: `name.linear_1`, `name.linear_2`. */
export function timeEmbedding(parameters: Parameters, name: string, features: Tensor): Tensor {
  return linear(parameters, `${name}.linear_2`, silu(linear(parameters, `${name}.linear_1`, features)));
}

/** The most scores [b, heads, n, m] that an attention holds at once, in elements. */
const MOST_SCORES = 2 ** 24;

/**
 * The attention of layers.ts, exactly, with queries in pieces where all their scores together are more than `most` elements: the
 * scores of 4096 pixels to each other take a gigabyte with eight heads and a batch of two, and as much again after the softmax.
 */
export function piecewiseAttention(options: { q: Tensor; k: Tensor; v: Tensor; heads: number; bias?: Tensor }, most = MOST_SCORES): Tensor {
  const { q, k, heads, bias } = options;
  const [b, n, d] = q.shape as [number, number, number];
  const together = isForAnyBatch() ? 1 : b;
  const pieces = Math.ceil(n / Math.max(1, Math.floor(most / (together * heads * (k.shape[1] as number)))));
  if (pieces <= 1) return attention(options);
  const rows = Math.ceil(n / pieces);
  const isByQuery = bias !== undefined && bias.rank > 1 && bias.shape.at(-2) === n;
  const attended: Tensor[] = [];
  for (let from = 0; from < n; from += rows) {
    const length = Math.min(rows, n - from);
    const own = isByQuery ? { bias: rowsOf(bias, from, length) } : {};
    attended.push(asPiece(() => attention({ ...options, ...own, q: tf.slice(q, [0, from, 0], [b, length, d]) })));
  }
  return tf.concat(attended, 1);
}

/** Some of the rows of x [..., rows, columns]. */
function rowsOf(x: Tensor, from: number, length: number): Tensor {
  const begin = x.shape.map((_, side) => (side === x.rank - 2 ? from : 0));
  const sizes = x.shape.map((size, side) => (side === x.rank - 2 ? length : size));
  return tf.slice(x, begin as never, sizes as never);
}

/**
 * Multi-head attention as diffusers' Attention has it: x [b, n, d] asks `context` [b, m, e], itself without one, through
 * `name.to_q`, `to_k`, `to_v` and `to_out.0`. `bias` is added to the scores; see layers.ts.
 */
export function crossAttention(
  parameters: Parameters,
  name: string,
  x: Tensor,
  { context = x, heads, bias }: { context?: Tensor; heads: number; bias?: Tensor },
): Tensor {
  const [q, k, v] = [
    linear(parameters, `${name}.to_q`, x),
    linear(parameters, `${name}.to_k`, context),
    linear(parameters, `${name}.to_v`, context),
  ];
  return linear(parameters, `${name}.to_out.0`, piecewiseAttention({ q, k, v, heads, ...(bias && { bias }) }));
}

/** What is added to scores so that positions whose `kept` is 0 are hidden and those with 1 stay, of kept's shape. */
export function hidingBias(kept: Tensor): Tensor {
  return tf.mul(tf.sub(tf.cast(kept, "float32"), 1), 1e9); // larger than any score, of networks too that do not scale theirs
}

/** A batch's text as families are given it. Throws an Error where there is none. */
export function givenText({ sequences: [text] = [] }: Pick<Embedded, "sequences">): { tokens: Tensor; mask?: Tensor } {
  if (text) return text;
  throw new Error("Cannot ask the network: its config asks for a text, which is missing");
}

/** The input `name` of a published network. Throws an Error that names the one that is missing. */
export function given<Name extends string>(inputs: { readonly [name in Name]?: Tensor }, name: Name): Tensor {
  const value = inputs[name];
  if (!value) throw new Error(`Cannot ask the network: its config asks for the input "${name}", which is missing`);
  return value;
}

/**
 * What PixArt, Stable Diffusion 3 and FLUX have in common as diffusers publishes them: modulated norms, feed-forward layers,
 * embeddings of times and texts, and blocks in which image and text attend to each other.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { attention, layerNorm, linear, type Parameters, silu } from "../layers.ts";
import { activations, rmsNorm, timeEmbedding, timeFeatures } from "../published/layers.ts";

/** The epsilon of all norms here that a config does not set. */
const EPSILON = 1e-6;

/** Shifts, scales and gates [b, 1, width] of a vector [b, width], in the order of the layer `name`: `parts` of them. */
export function modulation(parameters: Parameters, name: string, vector: Tensor, parts: number): Tensor[] {
  return tf.split(tf.expandDims(linear(parameters, name, vector), 1), parts, -1) as Tensor[];
}

/** Layer normalisation of x [b, n, width] without parameters of its own, then a scale beside 1 and a shift [b, 1, width]. */
export function modulated(x: Tensor, shift: Tensor, scale: Tensor, epsilon = EPSILON): Tensor {
  return tf.add(tf.mul(layerNorm(x, epsilon), tf.add(scale, 1)), shift);
}

/** diffusers' AdaLayerNormContinuous of x [b, n, width], by a vector [b, width]: its layer makes scales first, then shifts. */
export function continuousNorm(parameters: Parameters, name: string, x: Tensor, vector: Tensor): Tensor {
  const [scale, shift] = modulation(parameters, `${name}.linear`, vector, 2) as [Tensor, Tensor];
  return modulated(x, shift, scale);
}

/** diffusers' FeedForward of x [b, n, width]: `name.net.0.proj`, an activation, `name.net.2`. */
export function feedForward(
  parameters: Parameters,
  name: string,
  x: Tensor,
  activation: keyof typeof activations = "gelu-approximate",
): Tensor {
  return linear(parameters, `${name}.net.2`, activations[activation](linear(parameters, `${name}.net.0.proj`, x)));
}

/** Numbers [b] as vectors [b, width]: 256 features, then the two layers of `name`. */
export function embeddedNumbers(parameters: Parameters, name: string, numbers: Tensor): Tensor {
  return timeEmbedding(parameters, name, timeFeatures(numbers, { width: 256, cosinesFirst: true, shift: 0 }));
}

/**
 * What modulates all blocks of SD3 and FLUX, [b, width]: times [b], pooled text [b, e] and, where a network is told it, the scale of
 * guidance [b], each through an embedder of `name`; summed and activated, since every norm does that first.
 */
export function conditionVector(
  parameters: Parameters,
  name: string,
  { times, pooled, guidance }: { times: Tensor; pooled: Tensor; guidance?: Tensor | undefined },
): Tensor {
  const time = embeddedNumbers(parameters, `${name}.timestep_embedder`, times);
  const told = guidance ? tf.add(time, embeddedNumbers(parameters, `${name}.guidance_embedder`, guidance)) : time;
  return silu(tf.add(told, timeEmbedding(parameters, `${name}.text_embedder`, pooled)));
}

/** By how much each pair of channels of a head turns at each token: [n, 1, head / 2]. */
export interface Rotation {
  cosines: Tensor;
  sines: Tensor;
}

/** How a stream of tokens attends. */
export interface Attending {
  heads: number;
  /** Whether queries and keys are normed, head by head. */
  isNormed: boolean;
  rotation?: Rotation;
}

/** Tokens of image and text, [b, n, width] and [b, m, width]. */
export interface Streams {
  image: Tensor;
  text: Tensor;
}

type Asked = { q: Tensor; k: Tensor; v: Tensor };

const OWN = { q: "to_q", k: "to_k", v: "to_v", normQ: "norm_q", normK: "norm_k" };
const ADDED = { q: "add_q_proj", k: "add_k_proj", v: "add_v_proj", normQ: "norm_added_q", normK: "norm_added_k" };

/** Queries, keys and values [b, n, width] of one stream, through its own or the added layers. */
function asked(parameters: Parameters, name: string, x: Tensor, layers: typeof OWN, { heads, isNormed }: Attending): Asked {
  const project = (layer: string): Tensor => linear(parameters, `${name}.${layer}`, x);
  const normed = (t: Tensor, layer: string): Tensor => {
    if (!isNormed) return t;
    const [b, n, width] = t.shape as [number, number, number];
    const split = tf.reshape(t, [b, n, heads, width / heads]);
    return tf.reshape(rmsNorm(parameters, `${name}.${layer}`, split, EPSILON), [b, n, width]);
  };
  return { q: normed(project(layers.q), layers.normQ), k: normed(project(layers.k), layers.normK), v: project(layers.v) };
}

/** Rotary positions (Su et al. 2021) of x [b, n, width]: neighbouring channels of a head are a pair that turns. */
function rotated(x: Tensor, { cosines, sines }: Rotation, heads: number): Tensor {
  const [b, n, width] = x.shape as [number, number, number];
  const [first, second] = tf
    .split(tf.reshape(x, [-1, 2]), 2, 1)
    .map((half) => tf.reshape(half as Tensor, [b, n, heads, width / heads / 2])) as [Tensor, Tensor];
  const turned = [tf.sub(tf.mul(first, cosines), tf.mul(second, sines)), tf.add(tf.mul(second, cosines), tf.mul(first, sines))] as const;
  const columns = turned.map((half) => tf.reshape(half, [-1, 1]));
  return tf.reshape(tf.concat(columns, 1), [b, n, width]);
}

/** What tokens answer each other, before any layer of the output. */
function answers({ q, k, v }: Asked, { heads, rotation }: Attending): Tensor {
  if (!rotation) return attention({ q, k, v, heads });
  return attention({ q: rotated(q, rotation, heads), k: rotated(k, rotation, heads), v, heads });
}

/** Self-attention of x [b, n, width] through the layers of `name`, without the output's. */
export function streamAttention(parameters: Parameters, name: string, x: Tensor, attending: Attending): Tensor {
  return answers(asked(parameters, name, x, OWN, attending), attending);
}

/** Attention among the tokens of text and image together, the text's first, without the output's layers. */
function jointAttention(parameters: Parameters, name: string, { image, text }: Streams, attending: Attending): Streams {
  const own = asked(parameters, name, image, OWN, attending);
  const added = asked(parameters, name, text, ADDED, attending);
  const join = (part: keyof Asked): Tensor => tf.concat([added[part], own[part]], 1);
  const all = answers({ q: join("q"), k: join("k"), v: join("v") }, attending);
  const [before, after] = tf.split(all, [text.shape[1] as number, image.shape[1] as number], 1) as [Tensor, Tensor];
  return { image: after, text: before };
}

type Six = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

/** x and what a modulated feed-forward layer makes of it, by the last three of a norm's six parts. */
function fed(parameters: Parameters, name: string, x: Tensor, [, , , shift, scale, gate]: Six): Tensor {
  return tf.add(x, tf.mul(gate, feedForward(parameters, name, modulated(x, shift, scale))));
}

/**
 * A block of SD3 (Esser et al. 2024), or a double block of FLUX, with `vector` [b, width] of {@link conditionVector}. `isDual`: the
 * image attends to itself as well. `isLast`: nobody reads the text afterwards, so it is answered as it came.
 */
export function jointBlock(
  parameters: Parameters,
  name: string,
  { image, text }: Streams,
  { vector, isDual = false, isLast = false, ...attending }: Attending & { vector: Tensor; isDual?: boolean; isLast?: boolean },
): Streams {
  const parts = modulation(parameters, `${name}.norm1.linear`, vector, isDual ? 9 : 6);
  const [shift, scale, gate] = parts as Six;
  const textParts = isLast ? undefined : (modulation(parameters, `${name}.norm1_context.linear`, vector, 6) as Six);
  const normedText = textParts
    ? modulated(text, textParts[0], textParts[1])
    : continuousNorm(parameters, `${name}.norm1_context`, text, vector);
  const attended = jointAttention(parameters, `${name}.attn`, { image: modulated(image, shift, scale), text: normedText }, attending);
  let middle = tf.add(image, tf.mul(gate, linear(parameters, `${name}.attn.to_out.0`, attended.image))) as Tensor;
  if (isDual) {
    const [dualShift, dualScale, dualGate] = parts.slice(6) as [Tensor, Tensor, Tensor];
    const alone = streamAttention(parameters, `${name}.attn2`, modulated(image, dualShift, dualScale), attending);
    middle = tf.add(middle, tf.mul(dualGate, linear(parameters, `${name}.attn2.to_out.0`, alone)));
  }
  const whole = fed(parameters, `${name}.ff`, middle, parts as Six);
  if (!textParts) return { image: whole, text };
  const middleText = tf.add(text, tf.mul(textParts[2], linear(parameters, `${name}.attn.to_add_out`, attended.text)));
  return { image: whole, text: fed(parameters, `${name}.ff_context`, middleText, textParts) };
}

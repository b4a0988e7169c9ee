/**
 * Caption encoder trained together with the teacher: a small pre-norm transformer over word pieces (tokenizer.ts).
 * Its parameters are called `text.*`, so that they live beside those of the network they condition.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { createInitialiser } from "../initialise.ts";
import { gelu, layerNorm, linear, type Parameters, parameter, selfAttention } from "../layers.ts";
import { PADDING } from "./tokenizer.ts";

export interface TextEncoderConfig {
  /** Number of word pieces, padding included. */
  vocabulary: number;
  /** Pieces a caption is padded or cut to. */
  length: number;
  width: number;
  depth: number;
  heads: number;
}

/** Initial weights. Embeddings are small beside the blocks' unit-variance inputs; residual branches start at half gain. */
export function initTextEncoder({ vocabulary, length, width, depth }: TextEncoderConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  init.normal("text.token.kernel", [vocabulary, width], 0.5);
  init.normal("text.position", [length, width], 0.1);
  for (let i = 0; i < depth; i++) {
    const name = `text.blocks.${i}`;
    init.linear(`${name}.attention.qkv`, width, 3 * width);
    init.linear(`${name}.attention.out`, width, width, { gain: 0.5 });
    init.linear(`${name}.up`, width, 4 * width);
    init.linear(`${name}.down`, 4 * width, width, { gain: 0.5 });
  }
  init.linear("text.out", width, width, { gain: 0.5 });
  init.normal("text.null", [width], 0.5);
  return init.weights;
}

export interface TextFeatures {
  /** One vector for each piece, [b, length, width]. */
  tokens: Tensor;
  /** One vector for the caption, [b, width]: the condition of a DiT or U-Net. */
  pooled: Tensor;
  /** 1 for a piece, 0 for padding, [b, length]. */
  mask: Tensor;
}

/**
 * Encodes captions: tokens are piece ids, int32 [b, length]; padding is invisible to attention and pooling. `keep` [b]
 * chooses between the caption (1) and the learned null vector of classifier-free guidance (0).
 */
export function applyTextEncoder(
  { vocabulary, length, depth, heads }: TextEncoderConfig,
  parameters: Parameters,
  { tokens, keep }: { tokens: Tensor; keep: Tensor },
): TextFeatures {
  const b = tokens.shape[0] as number;
  // A product with one-hot rows instead of a gather: exact, and its gradient is a plain matrix product.
  const choice = tf.oneHot(tf.reshape(tokens, [-1]) as never, vocabulary) as Tensor;
  const padding = tf.slice(choice, [0, PADDING], [b * length, 1]);
  const mask = tf.reshape(tf.sub(1, padding), [b, length]);
  const bias = tf.reshape(tf.mul(padding, -1e4), [b, 1, 1, length]);

  const embedded = tf.reshape(linear(parameters, "text.token", choice), [b, length, -1]);
  let x = tf.add(embedded, parameter(parameters, "text.position"));
  for (let i = 0; i < depth; i++) {
    const name = `text.blocks.${i}`;
    x = tf.add(x, selfAttention(parameters, `${name}.attention`, layerNorm(x), { heads, bias }));
    x = tf.add(x, linear(parameters, `${name}.down`, gelu(linear(parameters, `${name}.up`, layerNorm(x)))));
  }
  const normal = layerNorm(x);
  // Every caption has its end piece; a row of padding alone, read with keep 0, must not divide by zero.
  const weights = tf.reshape(tf.div(mask, tf.maximum(tf.sum(mask, 1, true), 1)), [b, 1, length]);
  const mean = tf.reshape(tf.matMul(weights as never, normal as never), [b, -1]) as Tensor;
  const pooled = linear(parameters, "text.out", mean);
  return {
    tokens: either(keep, normal, parameter(parameters, "text.null")),
    pooled: either(keep, pooled, parameter(parameters, "text.null")),
    mask,
  };
}

/** Samples of x [b, ...] where keep [b] is 1, `otherwise` [width] where it is 0. */
function either(keep: Tensor, x: Tensor, otherwise: Tensor): Tensor {
  const kept = tf.reshape(keep, [-1, ...x.shape.slice(1).map(() => 1)]);
  return tf.add(tf.mul(x, kept), tf.mul(otherwise, tf.sub(1, kept)));
}

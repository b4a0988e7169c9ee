/**
 * The image tokenizer: a VQ autoencoder of latents (of pixels, where the codec is pixel), after VQGAN (Esser et al. 2021) and
 * LlamaGen's VQ-16 (Sun et al. 2024; docs/METHODS.md section 8). An image becomes a grid of whole numbers, its tokens, each the
 * nearest of K unit vectors. Convolutional residual blocks with group normalisation on the way down, self-attention at the
 * lowest level, a 1x1 projection to the dimension of the codes, and the mirror image of it on the way up.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { ImageTokenizerConfig } from "../../schemas/model.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { conv, groupNorm, linear, type Parameters, patchify, selfAttention, silu, unpatchify } from "../layers.ts";
import { chosenCodes, codebookOf, nearest, unit } from "./quantise.ts";

export type { ImageTokenizerConfig };

/** The most codes: tokens are stored as int16, 0 to 32767. */
export const MOST_CODES = 32768;

/** Sides [height, width] of the grid of tokens. */
export function gridOf({ shape, downsample }: ImageTokenizerConfig): [height: number, width: number] {
  return [shape[0] / downsample, shape[1] / downsample];
}

/** How many tokens an image has. */
export function tokenCount(config: ImageTokenizerConfig): number {
  const [height, width] = gridOf(config);
  return height * width;
}

/** Channels of each level, from half the input's resolution down to the grid's; each has half as many again as the one before. */
function levels({ width, downsample }: ImageTokenizerConfig): number[] {
  return Array.from({ length: Math.log2(downsample) }, (_, i) => 8 * Math.round((width * 1.5 ** i) / 8));
}

/** Residual blocks a level; the decoder has one more, as in VQGAN. */
const ENCODER_BLOCKS = 2;
const DECODER_BLOCKS = 3;

/** Groups of channels that are normalised together: of 8 channels, and so four at least in every width. */
const groupsOf = (channels: number): number => channels / 8;

/** Initial weights: "encoder...", "decoder..." and the codes, which stand evenly on the sphere. */
export function initImageTokenizer(config: ImageTokenizerConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  const { shape, codes, dimension } = config;
  const channels = shape[2];
  const widths = levels(config);
  const last = widths.length - 1;
  init.conv("encoder.in", 3, 4 * channels, widths[0] as number);
  widths.forEach((width, i) => {
    if (i > 0) init.linear(`encoder.${i}.down`, 4 * (widths[i - 1] as number), width);
    initBlocks(init, `encoder.${i}`, width, ENCODER_BLOCKS);
  });
  const lowest = widths[last] as number;
  initAttention(init, "encoder.attention", lowest);
  init.norm("encoder.norm", lowest);
  init.linear("encoder.out", lowest, dimension);
  init.normal("codes", [codes, dimension], 1 / Math.sqrt(dimension)); // about unit length: only their directions count
  init.linear("decoder.in", dimension, lowest);
  initAttention(init, "decoder.attention", lowest);
  for (let i = last; i >= 0; i--) {
    initBlocks(init, `decoder.${i}`, widths[i] as number, DECODER_BLOCKS);
    if (i > 0) init.linear(`decoder.${i}.up`, widths[i] as number, 4 * (widths[i - 1] as number));
  }
  init.norm("decoder.norm", widths[0] as number);
  init.conv("decoder.out", 3, widths[0] as number, 4 * channels, { gain: 0.5 });
  return init.weights;
}

function initBlocks(init: Initialiser, name: string, width: number, count: number): void {
  for (let i = 0; i < count; i++) {
    for (const half of ["in", "out"]) {
      init.norm(`${name}.blocks.${i}.${half}.norm`, width);
      init.conv(`${name}.blocks.${i}.${half}`, 3, width, width, { gain: half === "in" ? Math.SQRT2 : 0 });
    }
  }
}

function initAttention(init: Initialiser, name: string, width: number): void {
  init.norm(`${name}.norm`, width);
  init.linear(`${name}.qkv`, width, 3 * width);
  init.linear(`${name}.out`, width, width, { gain: 0 });
}

/** Latents [b, h, w, c] in the model's scale (standard deviation sigmaData) to unit vectors [b, h / f, w / f, dimension]. */
export function encodeToVectors(config: ImageTokenizerConfig, parameters: Parameters, latents: Tensor): Tensor {
  const widths = levels(config);
  let x = conv(parameters, "encoder.in", fold(tf.mul(latents, 1 / config.sigmaData)));
  widths.forEach((_, i) => {
    if (i > 0) x = linear(parameters, `encoder.${i}.down`, fold(x));
    x = blocks(parameters, `encoder.${i}`, x, ENCODER_BLOCKS);
  });
  x = attended(parameters, "encoder.attention", x);
  return unit(linear(parameters, "encoder.out", silu(normal(parameters, "encoder.norm", x))));
}

/** Latents [b, h, w, c] in the model's scale to the codes of their tokens [b, h / f, w / f, dimension], without a gradient. */
export function codesOfLatents(config: ImageTokenizerConfig, parameters: Parameters, latents: Tensor): Tensor {
  const [vectors, codes] = [encodeToVectors(config, parameters, latents), codebookOf(parameters)];
  return chosenCodes(nearest(vectors, codes), codes, vectors.shape);
}

/** Latents [b, h, w, c] in the model's scale to tokens, int32 [b, n], rows of the grid one after the other. */
export function tokensOfLatents(config: ImageTokenizerConfig, parameters: Parameters, latents: Tensor): Tensor {
  const vectors = encodeToVectors(config, parameters, latents);
  const cosines = tf.matMul(tf.reshape(vectors, [-1, config.dimension]) as never, codebookOf(parameters) as never, false, true);
  return tf.reshape(tf.argMax(cosines, 1), [latents.shape[0] as number, tokenCount(config)]);
}

/** Tokens, int32 [b, n], to the map of their codes [b, h / f, w / f, dimension]: unit vectors, what a decoder is conditioned on. */
export function codesOfTokens(config: ImageTokenizerConfig, parameters: Parameters, tokens: Tensor): Tensor {
  const choice = tf.oneHot(tf.reshape(tokens, [-1]) as never, config.codes) as Tensor;
  return chosenCodes(choice, codebookOf(parameters), [tokens.shape[0] as number, ...gridOf(config), config.dimension]);
}

/** A map of codes [b, h / f, w / f, dimension] to latents [b, h, w, c] in the model's scale. */
export function decodeCodes(config: ImageTokenizerConfig, parameters: Parameters, codes: Tensor): Tensor {
  const widths = levels(config);
  let x = attended(parameters, "decoder.attention", linear(parameters, "decoder.in", codes));
  for (let i = widths.length - 1; i >= 0; i--) {
    x = blocks(parameters, `decoder.${i}`, x, DECODER_BLOCKS);
    if (i > 0) x = unfold(linear(parameters, `decoder.${i}.up`, x));
  }
  const out = conv(parameters, "decoder.out", silu(normal(parameters, "decoder.norm", x)));
  return tf.mul(unfold(out), config.sigmaData);
}

const normal = (parameters: Parameters, name: string, x: Tensor): Tensor =>
  groupNorm(parameters, name, x, groupsOf(x.shape[3] as number), 1e-6);

/** Residual blocks of two convolutions, each after group normalisation and SiLU. */
function blocks(parameters: Parameters, name: string, x: Tensor, count: number): Tensor {
  let y = x;
  for (let i = 0; i < count; i++) {
    let hidden = y;
    for (const half of ["in", "out"]) {
      const layer = `${name}.blocks.${i}.${half}`;
      hidden = conv(parameters, layer, silu(normal(parameters, `${layer}.norm`, hidden)));
    }
    y = tf.add(y, hidden);
  }
  return y;
}

/** Self-attention of one head over all places of the map, added to it. */
function attended(parameters: Parameters, name: string, x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const tokens = tf.reshape(normal(parameters, `${name}.norm`, x), [b, h * w, c]);
  return tf.add(x, tf.reshape(selfAttention(parameters, name, tokens, { heads: 1 }), [b, h, w, c]));
}

/** Space to depth: [b, h, w, c] -> [b, h / 2, w / 2, 4 c]. */
function fold(x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return tf.reshape(patchify(x, 2), [b, h / 2, w / 2, 4 * c]);
}

/** Depth to space, the inverse of `fold`. */
function unfold(x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  return unpatchify(tf.reshape(x, [b, h * w, c]), { patch: 2, height: 2 * h, width: 2 * w });
}

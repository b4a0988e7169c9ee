/**
 * DiT, the diffusion transformer (Peebles & Xie 2023) with adaLN-Zero: patches become tokens, and the noise level
 * together with the condition scales, shifts and gates every block. Serves as teacher, student and discriminator trunk.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { gelu, layerNorm, linear, type Parameters, parameter, patchify, selfAttention, silu, sinusoidal, unpatchify } from "../layers.ts";

export interface DitConfig {
  /** Latent shape, [height, width, channels]. */
  shape: readonly [number, number, number];
  patch: number;
  width: number;
  depth: number;
  heads: number;
}

/** Initial weights of a DiT. The output and every gate start at zero, so each block starts as the identity. */
export function initDit(config: DitConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  const { width, depth, patch } = config;
  const [height, breadth, channels] = config.shape;
  init.linear("patch", patch * patch * channels, width);
  init.positions("position", { height: height / patch, width: breadth / patch, channels: width });
  initNoiseEmbedding(init, width);
  for (let i = 0; i < depth; i++) initBlock(init, `blocks.${i}`, width);
  init.linear("final.modulation", width, 2 * width, { gain: 0 });
  init.linear("final.out", width, patch * patch * channels, { gain: 0 });
  return init.weights;
}

function initNoiseEmbedding(init: Initialiser, width: number): void {
  init.linear("noise.in", NOISE_FEATURES, width);
  init.linear("noise.out", width, width);
}

function initBlock(init: Initialiser, name: string, width: number): void {
  init.linear(`${name}.modulation`, width, 6 * width, { gain: 0 });
  init.linear(`${name}.attention.qkv`, width, 3 * width);
  init.linear(`${name}.attention.out`, width, width);
  init.linear(`${name}.up`, width, 4 * width);
  init.linear(`${name}.down`, 4 * width, width);
}

const NOISE_FEATURES = 64;

/** Tokens of an image with their positions: [b, h, w, c] -> [b, n, width]. */
export function embedPatches(config: DitConfig, parameters: Parameters, x: Tensor): Tensor {
  return tf.add(linear(parameters, "patch", patchify(x, config.patch)), parameter(parameters, "position"));
}

/** Noise level c_noise [b] and condition [b, width] joined into the vector that modulates every block, [b, width]. */
export function embedCondition(parameters: Parameters, noiseLevel: Tensor, condition?: Tensor): Tensor {
  const noise = linear(parameters, "noise.out", silu(linear(parameters, "noise.in", sinusoidal(noiseLevel, NOISE_FEATURES))));
  return silu(condition ? tf.add(noise, condition) : noise);
}

/** Block `index` of the transformer: tokens [b, n, width], modulation vector [b, width] -> tokens. */
export function applyBlock(config: DitConfig, parameters: Parameters, index: number, tokens: Tensor, vector: Tensor): Tensor {
  const name = `blocks.${index}`;
  const modulation = tf.reshape(linear(parameters, `${name}.modulation`, vector), [-1, 1, 6 * config.width]);
  const [scale1, shift1, gate1, scale2, shift2, gate2] = tf.split(modulation, 6, -1) as Tensor[];
  const attended = selfAttention(parameters, `${name}.attention`, modulate(tokens, scale1, shift1), config);
  const middle = tf.add(tokens, tf.mul(attended, gate1 as Tensor));
  const hidden = gelu(linear(parameters, `${name}.up`, modulate(middle, scale2, shift2)));
  return tf.add(middle, tf.mul(linear(parameters, `${name}.down`, hidden), gate2 as Tensor));
}

function modulate(tokens: Tensor, scale?: Tensor, shift?: Tensor): Tensor {
  return tf.add(tf.mul(layerNorm(tokens), tf.add(scale as Tensor, 1)), shift as Tensor);
}

/**
 * The raw network F of a DiT (see parameterisation.ts for the denoiser around it).
 * x [b, h, w, c], noiseLevel c_noise [b], condition [b, width] -> [b, h, w, c].
 */
export function applyDit(config: DitConfig, parameters: Parameters, inputs: { x: Tensor; noiseLevel: Tensor; condition?: Tensor }): Tensor {
  const [height, width] = config.shape;
  const vector = embedCondition(parameters, inputs.noiseLevel, inputs.condition);
  let tokens = embedPatches(config, parameters, inputs.x);
  for (let i = 0; i < config.depth; i++) tokens = applyBlock(config, parameters, i, tokens, vector);
  const modulation = tf.reshape(linear(parameters, "final.modulation", vector), [-1, 1, 2 * config.width]);
  const [scale, shift] = tf.split(modulation, 2, -1) as [Tensor, Tensor];
  const out = linear(parameters, "final.out", modulate(tokens, scale, shift));
  return unpatchify(out, { patch: config.patch, height, width });
}

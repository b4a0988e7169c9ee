/**
 * DiT, the diffusion transformer (Peebles & Xie 2023) with adaLN-Zero: patches become tokens, and the noise level
 * together with the condition scales, shifts and gates every block. Its places are "patches" and "blocks.I", where features
 * are tokens [b, n, width].
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { PlannedNetwork, Rules } from "../../schemas/fit.ts";
import { ownEncoders } from "../encoders/own.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { gelu, layerNorm, linear, type Parameters, parameter, patchify, selfAttention, silu, sinusoidal, unpatchify } from "../layers.ts";
import { type Family, type FamilyInputs, type Hooks, passing, type Trunk, type TrunkLimits } from "./family.ts";
import { tokenTrunk, tokenTrunkLimits } from "./token-trunk.ts";

export interface DitConfig {
  /** Latent shape, [height, width, channels]. */
  shape: readonly [number, number, number];
  patch: number;
  width: number;
  depth: number;
  heads: number;
  /** Whether the guidance scale is an input. */
  guidance?: boolean;
}

/** Initial weights. The output and every gate start at zero, so each block starts as the identity. */
function initDit(config: DitConfig, seed: number): Weights {
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
function embedPatches(config: DitConfig, parameters: Parameters, x: Tensor): Tensor {
  return tf.add(linear(parameters, "patch", patchify(x, config.patch)), parameter(parameters, "position"));
}

/** Noise level c_noise [b] and condition [b, width] joined into the vector that modulates every block, [b, width]. */
function embedCondition(parameters: Parameters, noiseLevel: Tensor, condition?: Tensor): Tensor {
  const noise = linear(parameters, "noise.out", silu(linear(parameters, "noise.in", sinusoidal(noiseLevel, NOISE_FEATURES))));
  return silu(condition ? tf.add(noise, condition) : noise);
}

/** Block `index` of the transformer: tokens [b, n, width], modulation vector [b, width] -> tokens. */
function applyBlock(config: DitConfig, parameters: Parameters, index: number, tokens: Tensor, vector: Tensor): Tensor {
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

/** x [b, h, w, c], noiseLevel c_noise [b], vector [b, width] -> [b, h, w, c]. */
function applyDit(config: DitConfig, parameters: Parameters, inputs: FamilyInputs, hooks: Hooks = {}): Tensor {
  const [height, width] = config.shape;
  const vector = embedCondition(parameters, inputs.noiseLevel, inputs.vector);
  let tokens = passing(hooks, "patches", embedPatches(config, parameters, inputs.x));
  for (let i = 0; i < config.depth; i++) {
    tokens = passing(hooks, afterBlock(i), applyBlock(config, parameters, i, tokens, vector));
    if (hooks.last === afterBlock(i)) return tokens;
  }
  const modulation = tf.reshape(linear(parameters, "final.modulation", vector), [-1, 1, 2 * config.width]);
  const [scale, shift] = tf.split(modulation, 2, -1) as [Tensor, Tensor];
  const out = linear(parameters, "final.out", modulate(tokens, scale, shift));
  return unpatchify(out, { patch: config.patch, height, width });
}

const afterBlock = (index: number): string => `blocks.${index}`;

/** The first `depth` blocks; see token-trunk.ts. */
function trunkOf({ shape, patch, width, depth: count }: DitConfig, options: { depth: number; scales: readonly number[] }): Trunk {
  const blocks = Array.from({ length: count }, (_, i) => afterBlock(i));
  return tokenTrunk({ shape, patch, width, first: "patch.kernel", patches: "patches", blocks, late: /^final\./ }, options);
}

/** What must hold of a DiT's settings. */
const rules: Rules<PlannedNetwork> = {
  fit: [
    {
      settings: ["network.patch", "images.size"],
      why: ({ network: { patch }, shape: [height, width] = [0, 0, 0] }) =>
        height % patch === 0 && width % patch === 0
          ? undefined
          : `the latents have ${height}x${width} pixels, whose sides a patch of ${patch} does not divide; set network.patch to a divisor`,
    },
    {
      settings: ["network.width", "network.heads"],
      why: ({ network: { width, heads } }) =>
        width % heads === 0 ? undefined : "each head takes an equal share of the width; set network.heads to a divisor of it",
    },
  ],
  idle: [{ settings: ["network.multipliers", "network.attentionLevels"], why: () => "they are a U-Net's (network.kind)" }],
};

const trunkLimits = ({ network: { patch, depth }, shape }: PlannedNetwork): TrunkLimits => ({
  setting: "network.patch",
  ...tokenTrunkLimits({ shape, patch, depth }),
});

export const dit = {
  name: "dit",
  config: ({ shape, network: { patch, width, depth, heads, guidance } }): DitConfig => ({ shape, patch, width, depth, heads, guidance }),
  init: initDit,
  apply: applyDit,
  conditions: ({ width, guidance }) => ({ vector: [width], ...(guidance && { guidance }) }),
  encoders: (spec) => ownEncoders(spec, spec.network.width),
  groups: () => ({
    attention: /^blocks\.\d+\.attention\./,
    mlp: /^blocks\.\d+\.(up|down)\./,
    modulation: /^(blocks\.\d+|final)\.modulation\./,
    embedding: /^(patch|position|noise)\b/,
    output: /^final\.out\./,
    qkv: /^blocks\.\d+\.attention\.qkv\./,
    // A DiT's modulation is a third of its weights; its biases, scales and shifts that hold at every level, are not bulk.
    bulk: /^blocks\.\d+\.(attention\.out|up|down)\.|^(blocks\.\d+|final)\.modulation\.kernel$/,
  }),
  features: ({ depth }) => Array.from({ length: Math.ceil(depth / 2) }, (_, i) => afterBlock(i)),
  rules,
  trunk: trunkOf,
  trunkLimits,
} satisfies Family<DitConfig>;

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
import {
  upsample,
  gelu,
  layerNorm,
  linear,
  type Parameters,
  parameter,
  patchify,
  selfAttention,
  silu,
  sinusoidal,
  unpatchify,
} from "../layers.ts";
import { type Entrance, type Family, type FamilyInputs, type Hooks, passing, type Trunk, type TrunkLimits } from "./family.ts";

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

/** The first `depth` blocks, each with heads; copies enter as patches, one before each block from the second on. */
function trunkOf(config: DitConfig, { depth, scales }: { depth: number; scales: readonly number[] }): Trunk {
  const { patch, width } = config;
  const [rows, columns] = [config.shape[0] / patch, config.shape[1] / patch];
  const blocks = Math.min(depth, config.depth);
  const inputs = patch * patch * config.shape[2];
  const entrance = (scale: number, place: string): Entrance => ({
    scale,
    place,
    init: (init, name) => init.linear(name, inputs, width, { gain: 0 }),
    apply: (parameters, name, map) => {
      const tokens = linear(parameters, name, patchify(map, patch));
      if (scale === 1) return tokens;
      const grid = tf.reshape(tokens, [-1, rows / scale, columns / scale, width]);
      return tf.reshape(upsample(grid, scale), [tokens.shape[0] as number, -1, width]);
    },
  });
  const coarse = [...new Set(scales)].filter((scale) => scale > 1).sort((a, b) => a - b);
  return {
    first: "patch.kernel",
    uses: (name) => {
      const block = /^blocks\.(\d+)\./.exec(name);
      return !name.startsWith("final.") && (!block || Number(block[1]) < blocks);
    },
    last: afterBlock(blocks - 1),
    noise: entrance(1, "patches"),
    // What is left over when the blocks run out enters before the last one.
    copies: coarse.map((scale, k) =>
      entrance(scale, Math.min(k + 1, blocks - 1) === 0 ? "patches" : afterBlock(Math.min(k + 1, blocks - 1) - 1)),
    ),
    heads: Array.from({ length: blocks }, (_, i) => i).flatMap((i) =>
      scales.map((scale) => ({ name: `${i}.${scale}`, place: afterBlock(i), shrink: scale, channels: width, width })),
    ),
    map: (tokens) => tf.reshape(tokens, [-1, rows, columns, width]),
  };
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

/** Copies are shrunk on the grid of tokens. */
function trunkLimits({ network: { patch, depth }, shape }: PlannedNetwork): TrunkLimits {
  const sides = shape ? [shape[0] / patch, shape[1] / patch] : [];
  const why = (scale: number): string | undefined =>
    sides.every((side) => side % scale === 0)
      ? undefined
      : `${scale} does not divide the grid of ${sides.join("x")} tokens that patches of ${patch} make; every scale must`;
  return { setting: "network.patch", why, depth };
}

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

/**
 * U-Net of EDM's DDPM++ kind (Song et al. 2021; Karras et al. 2022, appendix F.2): residual blocks with group
 * normalisation whose second half is scaled and shifted by the noise level and condition, self-attention at chosen
 * levels, every residual sum divided by sqrt(2). Its places are "in", the name of every block, and, where a decoder block
 * takes a skip connection, that name and ".joined"; features are maps [b, h, w, c].
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { PlannedNetwork } from "../../schemas/fit.ts";
import { ownEncoders, takesVector } from "../encoders/own.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { conv, downsample, groupNorm, linear, type Parameters, selfAttention, silu, sinusoidal, upsample } from "../layers.ts";
import { type Family, type FamilyInputs, type Hooks, passing, type Trunk, type TrunkLimits } from "./family.ts";
import { mapTrunk, mapTrunkLimits } from "./map-trunk.ts";
import { type Block, layOut, type UnetConfig, unetRules } from "./unet-layout.ts";

const NOISE_FEATURES = 64;

/** The most groups, at most 32, that leave at least four channels in each and divide the channels. */
function groupsOf(channels: number): number {
  let groups = Math.max(1, Math.min(32, Math.floor(channels / 4)));
  while (channels % groups !== 0) groups--;
  return groups;
}

/** Initial weights. The last convolution of every block and of the network is zero: each block starts as its shortcut. */
function initUnet(config: UnetConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  const { width } = config;
  const channels = config.shape[2];
  const { encoder, middle, decoder } = layOut(config);
  init.linear("noise.in", NOISE_FEATURES, width);
  init.linear("noise.out", width, 4 * width);
  if (config.conditional) init.linear("condition", width, 4 * width, { bias: false });
  init.conv("in", 3, channels, width);
  for (const block of [...encoder, ...middle, ...decoder]) initBlock(init, block, 4 * width);
  init.norm("final.norm", width * (config.multipliers[0] as number));
  init.conv("final.out", 3, width * (config.multipliers[0] as number), channels, { gain: 0 });
  return init.weights;
}

function initBlock(init: Initialiser, block: Block, embedding: number): void {
  const { name, outputs } = block;
  const inputs = block.inputs + (block.skip ?? 0);
  init.norm(`${name}.norm0`, inputs);
  init.conv(`${name}.conv0`, 3, inputs, outputs);
  init.linear(`${name}.modulation`, embedding, 2 * outputs);
  init.norm(`${name}.norm1`, outputs);
  init.conv(`${name}.conv1`, 3, outputs, outputs, { gain: 0 });
  if (inputs !== outputs) init.linear(`${name}.shortcut`, inputs, outputs);
  if (!block.attention) return;
  init.norm(`${name}.norm2`, outputs);
  init.linear(`${name}.attention.qkv`, outputs, 3 * outputs);
  init.linear(`${name}.attention.out`, outputs, outputs, { gain: 0 });
}

function applyBlock(config: UnetConfig, parameters: Parameters, block: Block, x: Tensor, vector: Tensor): Tensor {
  const { name } = block;
  const norm = (part: string, t: Tensor) => groupNorm(parameters, `${name}.${part}`, t, groupsOf(t.shape[3] as number));
  const resample = (t: Tensor) => (block.resampling === "up" ? upsample(t) : block.resampling === "down" ? downsample(t) : t);

  const first = conv(parameters, `${name}.conv0`, resample(silu(norm("norm0", x))));
  const modulation = tf.reshape(linear(parameters, `${name}.modulation`, vector), [-1, 1, 1, 2 * block.outputs]);
  const [scale, shift] = tf.split(modulation, 2, -1) as [Tensor, Tensor];
  const second = conv(parameters, `${name}.conv1`, silu(tf.add(tf.mul(norm("norm1", first), tf.add(scale, 1)), shift)));
  const same = parameters[`${name}.shortcut.kernel`] ? linear(parameters, `${name}.shortcut`, x) : x;
  const sum = tf.mul(tf.add(second, resample(same)), Math.SQRT1_2);
  if (!block.attention) return sum;

  const [b, h, w, c] = sum.shape as [number, number, number, number];
  const attended = selfAttention(parameters, `${name}.attention`, tf.reshape(norm("norm2", sum), [b, h * w, c]), config);
  return tf.mul(tf.add(sum, tf.reshape(attended, [b, h, w, c])), Math.SQRT1_2);
}

/** x [b, h, w, c], noiseLevel c_noise [b], vector [b, width] -> [b, h, w, c]. */
function applyUnet(config: UnetConfig, parameters: Parameters, { x, noiseLevel, vector: given }: FamilyInputs, hooks: Hooks = {}): Tensor {
  const { encoder, middle, decoder } = layOut(config);
  const noise = linear(parameters, "noise.out", silu(linear(parameters, "noise.in", sinusoidal(noiseLevel, NOISE_FEATURES))));
  const vector = silu(given ? tf.add(noise, linear(parameters, "condition", given)) : noise);

  let features = passing(hooks, "in", conv(parameters, "in", x));
  const skips = [features];
  for (const block of [...encoder, ...middle, ...decoder]) {
    const { name } = block;
    if (block.skip) features = passing(hooks, joined(name), tf.concat([features, skips.pop() as Tensor], -1));
    features = passing(hooks, name, applyBlock(config, parameters, block, features, vector));
    if (hooks.last === name) return features;
    if (encoder.includes(block)) skips.push(features);
  }
  const normal = groupNorm(parameters, "final.norm", features, groupsOf(features.shape[3] as number));
  return conv(parameters, "final.out", silu(normal));
}

/** The place where a decoder block's input has been joined with its skip connection. */
const joined = (block: string): string => `${block}.joined`;

/** The whole network but its last layers; see map-trunk.ts. */
function trunkOf({ shape, width, multipliers, depth }: UnetConfig, options: { scales: readonly number[] }): Trunk {
  const after = (level: number, block: number): string => `decoder.${level}.blocks.${block}`;
  const levels = multipliers.map((multiplier, level) => ({
    channels: width * multiplier,
    before: after(level, depth - 1),
    joined: joined(after(level, depth)),
    after: after(level, depth),
    ...(level > 0 && { down: `encoder.${level}.down` }),
  }));
  const channels = width * (multipliers.at(-1) as number);
  return mapTrunk(
    {
      inputs: shape[2],
      width,
      enter: "in",
      first: "in.kernel",
      levels,
      uses: (name) => !name.startsWith("final."),
      core: { last: "middle.1", channels, uses: (name) => !/^(decoder|final)\./.test(name) },
    },
    options,
  );
}

const trunkLimits = ({ network: { multipliers } }: PlannedNetwork): TrunkLimits => ({
  setting: "network.multipliers",
  ...mapTrunkLimits(multipliers.length),
});

export const unet = {
  name: "unet",
  config: ({ shape, network }): UnetConfig => {
    const { width, multipliers, depth, attentionLevels, heads, guidance } = network;
    return { shape, width, multipliers, depth, attentionLevels, heads, guidance, conditional: takesVector(network) };
  },
  init: initUnet,
  apply: applyUnet,
  conditions: ({ width, conditional, guidance }) => (conditional ? { vector: [width], ...(guidance && { guidance }) } : {}),
  encoders: (spec) => ownEncoders(spec, spec.network.width),
  groups: () => ({
    attention: /^(encoder|middle|decoder)\..*\.attention\./,
    conv: /^in\.|\.conv[01]\.|\.shortcut\.|^final\.out\./,
    norm: /\.norm\d?\./,
    modulation: /\.modulation\./,
    embedding: /^(noise|condition)\b/,
    qkv: /^(encoder|middle|decoder)\..*\.attention\.qkv\./,
    skip: /\.shortcut\./,
    bulk: /\.conv[01]\.|^(encoder|middle|decoder)\..*\.attention\.out\./,
  }),
  features: ({ multipliers, depth }) => multipliers.map((_, level) => `encoder.${level}.blocks.${depth - 1}`),
  rules: unetRules,
  trunk: trunkOf,
  trunkLimits,
} satisfies Family<UnetConfig>;

/**
 * U-Net of EDM's DDPM++ kind (Song et al. 2021; Karras et al. 2022, appendix F.2): residual blocks with group
 * normalisation whose second half is scaled and shifted by the noise level and condition, self-attention at chosen
 * levels, every residual sum divided by sqrt(2). Serves as teacher, student and discriminator trunk.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { conv, downsample, groupNorm, linear, type Parameters, selfAttention, silu, sinusoidal, upsample } from "../layers.ts";

export interface UnetConfig {
  /** Latent shape, [height, width, channels]. */
  shape: readonly [number, number, number];
  /** Channels of the first level. */
  width: number;
  /** Channels of each level, relative to `width`; each level halves the resolution of the one before. */
  multipliers: readonly number[];
  /** Residual blocks a level. */
  depth: number;
  /** Levels with self-attention, 0 the finest. */
  attentionLevels: readonly number[];
  heads: number;
}

type Resampling = "up" | "down" | undefined;

interface Block {
  name: string;
  level: number;
  inputs: number;
  outputs: number;
  attention: boolean;
  resampling?: Resampling;
  /** Decoder: channels of the encoder features concatenated to the input. */
  skip?: number;
}

/** The blocks of a U-Net in order of application. */
interface Layout {
  encoder: Block[];
  middle: Block[];
  decoder: Block[];
}

function layOut({ shape, width, multipliers, depth, attentionLevels, heads }: UnetConfig): Layout {
  const [h, w] = shape;
  const deepest = multipliers.length - 1;
  if (h % 2 ** deepest !== 0 || w % 2 ** deepest !== 0) {
    throw badUsage(
      `Cannot build a U-Net of ${multipliers.length} levels on latents of ${h}x${w}: network.multipliers may have as many entries as the side can be halved without remainder, plus one`,
    );
  }
  const channels = (level: number) => width * (multipliers[level] as number);
  const odd = attentionLevels.find((level) => level <= deepest && channels(level) % heads !== 0);
  if (odd !== undefined) {
    throw badUsage(`Cannot split the ${channels(odd)} channels of U-Net level ${odd} among ${heads} heads: network.heads must divide them`);
  }
  const attention = (level: number) => attentionLevels.includes(level);
  const encoder: Block[] = [];
  const skips = [width];
  for (let level = 0; level <= deepest; level++) {
    const outputs = channels(level);
    if (level > 0) {
      const inputs = channels(level - 1);
      encoder.push({
        name: `encoder.${level}.down`,
        level,
        inputs,
        outputs: inputs,
        attention: false,
        resampling: "down",
      });
      skips.push(inputs);
    }
    for (let i = 0; i < depth; i++) {
      const inputs = skips.at(-1) as number;
      encoder.push({ name: `encoder.${level}.blocks.${i}`, level, inputs, outputs, attention: attention(level) });
      skips.push(outputs);
    }
  }
  const bottom = { level: deepest, inputs: channels(deepest), outputs: channels(deepest) };
  const middle = [
    { name: "middle.0", ...bottom, attention: attention(deepest) },
    { name: "middle.1", ...bottom, attention: false },
  ];
  const decoder: Block[] = [];
  let inputs = channels(deepest);
  for (let level = deepest; level >= 0; level--) {
    if (level < deepest) {
      decoder.push({ name: `decoder.${level}.up`, level, inputs, outputs: inputs, attention: false, resampling: "up" });
    }
    const outputs = channels(level);
    for (let i = 0; i <= depth; i++) {
      const name = `decoder.${level}.blocks.${i}`;
      decoder.push({
        name,
        level,
        inputs,
        outputs,
        attention: attention(level) && i === depth,
        skip: skips.pop() as number,
      });
      inputs = outputs;
    }
  }
  return { encoder, middle, decoder };
}

const NOISE_FEATURES = 64;

/** The most groups, at most 32, that leave at least four channels in each and divide the channels. */
function groupsOf(channels: number): number {
  let groups = Math.max(1, Math.min(32, Math.floor(channels / 4)));
  while (channels % groups !== 0) groups--;
  return groups;
}

/** Initial weights. The last convolution of every block and of the network is zero: each block starts as its shortcut. */
export function initUnet(config: UnetConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  const { width } = config;
  const channels = config.shape[2];
  const { encoder, middle, decoder } = layOut(config);
  init.linear("noise.in", NOISE_FEATURES, width);
  init.linear("noise.out", width, 4 * width);
  init.linear("condition", width, 4 * width, { bias: false });
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

/** What one decoder level saw around its last skip connection: features before it, joined with it, and after it. */
export interface LevelFeatures {
  level: number;
  before: Tensor;
  at: Tensor;
  after: Tensor;
}

export interface UnetInputs {
  /** [b, h, w, c] */
  x: Tensor;
  /** c_noise [b] */
  noiseLevel: Tensor;
  /** [b, width] */
  condition?: Tensor;
  /** Adds to the encoder's features where a level begins: (level, features [b, h, w, c]) -> the same shape. */
  inject?: (level: number, features: Tensor) => Tensor;
}

/** Features of a U-Net: the last of each encoder level, finest first, and each decoder level's, coarsest first. */
export function unetFeatures(
  config: UnetConfig,
  parameters: Parameters,
  { x, noiseLevel, condition, inject = (_, features) => features }: UnetInputs,
): { encoder: Tensor[]; decoder: LevelFeatures[] } {
  const { encoder, middle, decoder } = layOut(config);
  const noise = linear(parameters, "noise.out", silu(linear(parameters, "noise.in", sinusoidal(noiseLevel, NOISE_FEATURES))));
  const vector = silu(condition ? tf.add(noise, linear(parameters, "condition", condition)) : noise);

  let features = inject(0, conv(parameters, "in", x));
  const skips = [features];
  const ends: Tensor[] = [];
  for (const block of encoder) {
    features = applyBlock(config, parameters, block, features, vector);
    if (block.resampling) features = inject(block.level, features);
    skips.push(features);
    ends[block.level] = features;
  }
  for (const block of middle) features = applyBlock(config, parameters, block, features, vector);

  const levels: LevelFeatures[] = [];
  for (const block of decoder) {
    const before = features;
    const at = block.skip ? tf.concat([before, skips.pop() as Tensor], -1) : before;
    features = applyBlock(config, parameters, block, at, vector);
    const position = config.multipliers.length - 1 - block.level;
    if (block.skip) levels[position] = { level: block.level, before, at, after: features };
  }
  return { encoder: ends, decoder: levels };
}

/**
 * The raw network F of a U-Net (see parameterisation.ts for the denoiser around it).
 * x [b, h, w, c], noiseLevel c_noise [b], condition [b, width] -> [b, h, w, c].
 */
export function applyUnet(config: UnetConfig, parameters: Parameters, inputs: UnetInputs): Tensor {
  const { decoder } = unetFeatures(config, parameters, inputs);
  const last = (decoder.at(-1) as LevelFeatures).after;
  const normal = groupNorm(parameters, "final.norm", last, groupsOf(last.shape[3] as number));
  return conv(parameters, "final.out", silu(normal));
}

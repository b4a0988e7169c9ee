/**
 * Networks of EDM (Karras et al. 2022) by the names of their checkpoints: SongUNet, which is DDPM++ or NCSN++ (Song et al. 2021), and
 * DhariwalUNet, which is ADM (Dhariwal & Nichol 2021), within EDM's preconditioning. edm-blocks.ts has their layers.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { conv, linear, type Parameters, parameter, silu, spread } from "../layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { type BlockOptions, type BlockStyle, convHalved, doubled, edmBlock, edmNorm, halved } from "./edm-blocks.ts";
import { type Hooks, passing } from "./family.ts";

const size = z.int().positive();
const count = z.int().nonnegative();

const common = {
  class_name: z.enum(["EDMPrecond", "training.networks.EDMPrecond"]),
  img_resolution: size,
  img_channels: size,
  label_dim: count.default(0), // no classes
  augment_dim: count.default(0),
  use_fp16: z.boolean().default(false), // float32 all the same
  sigma_min: z.number().default(0), // of training
  sigma_max: z.number().nullable().default(null), // infinite
  sigma_data: z.number().positive().default(0.5),
  channel_mult_emb: size.default(4),
  dropout: z.number().default(0.1), // of training
  label_dropout: z.number().default(0), // of training
};

const song = z.strictObject({
  ...common,
  model_type: z.literal("SongUNet"),
  model_channels: size.default(128),
  channel_mult: z.array(size).min(1).default([1, 2, 2, 2]),
  num_blocks: size.default(4),
  attn_resolutions: z.array(size).default([16]),
  embedding_type: z.enum(["positional", "fourier"]).default("positional"),
  channel_mult_noise: size.default(1),
  encoder_type: z.enum(["standard", "skip", "residual"]).default("standard"),
  decoder_type: z.enum(["standard", "skip"]).default("standard"),
  resample_filter: z
    .array(z.number())
    .refine(({ length }) => length >= 2 && length % 2 === 0, "an even number of weights is expected")
    .default([1, 1]),
});

const dhariwal = z.strictObject({
  ...common,
  model_type: z.literal("DhariwalUNet"),
  model_channels: size.default(192),
  channel_mult: z.array(size).min(1).default([1, 2, 3, 4]),
  num_blocks: size.default(3),
  attn_resolutions: z.array(size).default([32, 16, 8]),
});

type Song = z.infer<typeof song>;
type Dhariwal = z.infer<typeof dhariwal>;
export type EdmConfig = Song | Dhariwal;

const config = z.discriminatedUnion("model_type", [song, dhariwal]);

/** What a U-Net is asked: x [b, h, w, c], noise [b], classes [b, labels] of ones and zeros, augment [b, features]. */
interface EdmInputs {
  x: Tensor;
  noise: Tensor;
  /** Without it, all zeros: no class. */
  classes?: Tensor | undefined;
  /** How a training image was changed: without it, not at all. */
  augment?: Tensor | undefined;
}

function styleOf(c: EdmConfig): BlockStyle {
  return c.model_type === "SongUNet"
    ? { epsilon: 1e-6, sumScale: Math.SQRT1_2, isScaled: false, hasResampledLayer: true, filter: c.resample_filter }
    : { epsilon: 1e-5, sumScale: 1, isScaled: true, headWidth: 64, hasResampledLayer: false, filter: [1, 1] };
}

/** Sines and cosines of the noise [b]: [b, width], sines first in SongUNet. Frequencies are stored or run down from 1. */
function noiseFeatures(c: EdmConfig, parameters: Parameters, noise: Tensor): Tensor {
  const isSong = c.model_type === "SongUNet";
  const half = Math.floor((c.model_channels * (isSong ? c.channel_mult_noise : 1)) / 2);
  const rates =
    isSong && c.embedding_type === "fourier"
      ? tf.mul(parameter(parameters, "model.map_noise.freqs"), 2 * Math.PI)
      : tf.tensor1d(Float32Array.from({ length: half }, (_, i) => 10000 ** (-i / (isSong ? half - 1 : half))));
  const angles = tf.mul(tf.reshape(noise, [-1, 1]), tf.reshape(rates, [1, half]));
  return tf.concat(isSong ? [tf.sin(angles), tf.cos(angles)] : [tf.cos(angles), tf.sin(angles)], -1);
}

/** Noise, classes and augmentation as one vector [b, width]. */
function embedded(c: EdmConfig, parameters: Parameters, { x, noise, classes, augment }: EdmInputs): Tensor {
  const isSong = c.model_type === "SongUNet";
  const none = tf.zeros([x.shape[0] as number, Math.max(1, c.label_dim)]);
  const label = () => linear(parameters, "model.map_label", tf.mul(classes ?? none, isSong ? Math.sqrt(c.label_dim) : 1));
  let vector = noiseFeatures(c, parameters, noise);
  if (isSong && c.label_dim > 0) vector = tf.add(vector, label());
  if (c.augment_dim > 0 && augment) vector = tf.add(vector, linear(parameters, "model.map_augment", augment));
  vector = linear(parameters, "model.map_layer1", silu(linear(parameters, "model.map_layer0", vector)));
  if (!isSong && c.label_dim > 0) vector = tf.add(vector, label());
  return silu(vector);
}

/** A pass through one network: what its blocks share. */
interface Pass {
  c: EdmConfig;
  parameters: Parameters;
  style: BlockStyle;
  embedding: Tensor;
  hooks: Hooks;
}

function run({ parameters, style, embedding, hooks }: Pass, place: string, x: Tensor, block: BlockOptions): Tensor {
  return passing(hooks, place, edmBlock({ style, parameters, name: `model.${place}`, x, embedding, block }));
}

/** What names, channels and attention of a level are. */
function levelOf(c: EdmConfig, level: number): { side: string; outputs: number; hasAttention: boolean } {
  const resolution = c.img_resolution >> level;
  return {
    side: `${resolution}x${resolution}`,
    outputs: c.model_channels * (c.channel_mult[level] as number),
    hasAttention: c.attn_resolutions.includes(resolution),
  };
}

/** The way down: the features of every block, of which the last is the innermost. */
function encoded(pass: Pass, image: Tensor): Tensor[] {
  const { c, parameters, style } = pass;
  const kind = c.model_type === "SongUNet" ? c.encoder_type : "standard";
  let x = conv(parameters, `model.enc.${levelOf(c, 0).side}_conv`, image);
  let beside = image; // what goes down past the blocks
  const features = [x];
  for (let level = 0; level < c.channel_mult.length; level++) {
    const { side, outputs, hasAttention } = levelOf(c, level);
    const name = `enc.${side}`;
    if (level > 0) {
      x = run(pass, `${name}_down`, x, { outputs: x.shape[3] as number, resampling: "down" });
      if (kind === "skip") {
        beside = halved(beside, style.filter);
        x = tf.add(x, conv(parameters, `model.${name}_aux_skip`, beside));
      } else if (kind === "residual") {
        x = tf.mul(tf.add(x, convHalved(parameters, `model.${name}_aux_residual`, beside, style.filter)), Math.SQRT1_2);
        beside = x;
      }
      features.push(x);
    }
    for (let i = 0; i < c.num_blocks; i++) {
      x = run(pass, `${name}_block${i}`, x, { outputs, hasAttention });
      features.push(x);
    }
  }
  return features;
}

/** The way up, which takes up the features of the way down from the innermost on. */
function decoded(pass: Pass, features: readonly Tensor[]): Tensor {
  const { c, parameters, style } = pass;
  const isSong = c.model_type === "SongUNet";
  const skips = [...features];
  const deepest = c.channel_mult.length - 1;
  let x = skips.at(-1) as Tensor;
  let image: Tensor | undefined;
  for (let level = deepest; level >= 0; level--) {
    const { side, outputs, hasAttention } = levelOf(c, level);
    const name = `dec.${side}`;
    const same = x.shape[3] as number;
    if (level === deepest) {
      x = run(pass, `${name}_in0`, x, { outputs: same, hasAttention: true });
      x = run(pass, `${name}_in1`, x, { outputs: same });
    } else {
      x = run(pass, `${name}_up`, x, { outputs: same, resampling: "up" });
    }
    for (let i = 0; i <= c.num_blocks; i++) {
      const joined = tf.concat([x, skips.pop() as Tensor], -1);
      x = run(pass, `${name}_block${i}`, joined, { outputs, hasAttention: hasAttention && (!isSong || i === c.num_blocks) });
    }
    if (isSong && (c.decoder_type === "skip" || level === 0)) {
      const added = conv(parameters, `model.${name}_aux_conv`, silu(edmNorm(parameters, `model.${name}_aux_norm`, x, style.epsilon)));
      image = image ? tf.add(doubled(image, style.filter), added) : added;
    }
  }
  return image ?? conv(parameters, "model.out_conv", silu(edmNorm(parameters, "model.out_norm", x, style.epsilon)));
}

/** The U-Net itself, F of the preconditioning: [b, h, w, c]. Its places are the names of its blocks without "model.". */
function apply(c: EdmConfig, parameters: Parameters, inputs: EdmInputs, hooks: Hooks = {}): Tensor {
  const pass = { c, parameters, style: styleOf(c), embedding: embedded(c, parameters, inputs), hooks };
  return decoded(pass, encoded(pass, inputs.x));
}

/** The denoised image D of x [b, h, w, c] at noise levels sigma [b] (Karras et al. 2022, eq. 7 and table 1). */
function denoise(
  c: EdmConfig,
  parameters: Parameters,
  { sigma, x, ...conditions }: { sigma: Tensor } & Omit<EdmInputs, "noise">,
  hooks: Hooks = {},
): Tensor {
  const level = spread(sigma);
  const power = tf.add(tf.square(level), c.sigma_data ** 2);
  const noise = tf.mul(tf.log(sigma), 0.25);
  const f = apply(c, parameters, { x: tf.mul(x, tf.rsqrt(power)), noise, ...conditions }, hooks);
  const kept = tf.mul(tf.div(c.sigma_data ** 2, power), x);
  return tf.add(kept, tf.mul(tf.mul(tf.mul(level, c.sigma_data), tf.rsqrt(power)), f));
}

export const edm: PublishedNetwork<EdmConfig> = {
  classes: ["EDMPrecond", "training.networks.EDMPrecond"],
  config,
  // Filters are stored with every layer that resamples; they follow from the config.
  names: () => ({ today: (name) => (name.endsWith(".resample_filter") ? undefined : name) }),
  calls: ["network", "network_raw"],
  forward: (c, parameters, { x, sigma, noise, classes, augment }, call, hooks) => {
    const given = { x: x as Tensor, classes, augment };
    if (call === "network") return { out: denoise(c, parameters, { sigma: sigma as Tensor, ...given }, hooks) };
    return { out: apply(c, parameters, { noise: noise as Tensor, ...given }, hooks) };
  },
  denoiser: (c) => ({
    shape: [c.img_resolution, c.img_resolution, c.img_channels],
    conditions: c.label_dim > 0 ? { classes: c.label_dim } : {},
    // One past the last class has no one in its row: it is none. No augmentation is given as such, for training wants every parameter read.
    inputs: ({ x, noiseLevel, label }) => ({
      ...{ x, noise: noiseLevel },
      ...(label && { classes: tf.oneHot(label as never, c.label_dim) }),
      ...(c.augment_dim > 0 && { augment: tf.zeros([x.shape[0] as number, c.augment_dim]) }),
    }),
    call: "network_raw",
    features: c.channel_mult.map((_, level) => `enc.${levelOf(c, level).side}_block${c.num_blocks - 1}`),
    groups: {
      attention: /\.(qkv|proj)\./,
      conv: /\.conv[01]\.|_conv\.|_aux_/,
      norm: /\bnorm[012]\.|_norm\./,
      modulation: /\.affine\./,
      embedding: /\.map_/,
      qkv: /\.qkv\./,
      skip: /\.skip\./,
      bulk: /\.conv[01]\.|\.proj\./,
    },
  }),
};

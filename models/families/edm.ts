/**
 * Networks of EDM (Karras et al. 2022) by the names of their checkpoints: SongUNet, which is DDPM++ or NCSN++ (Song et al. 2021), and
 * DhariwalUNet, which is ADM (Dhariwal & Nichol 2021), within EDM's preconditioning. edm-blocks.ts has their layers.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { conv, linear, type Parameters, parameter, silu, spread } from "../layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { config, type EdmConfig, enterOf, levelOf } from "./edm-config.ts";
import { edmDenoiser } from "./edm-denoiser.ts";
import { type BlockOptions, type BlockStyle, convHalved, doubled, edmBlock, edmNorm, halved } from "./edm-blocks.ts";
import { type Hooks, passing } from "./family.ts";

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

/** The way down: the features of every block, of which the last is the innermost, or those of the place where the pass ends. */
function encoded(pass: Pass, image: Tensor): Tensor[] {
  const { c, parameters, style, hooks } = pass;
  const kind = c.model_type === "SongUNet" ? c.encoder_type : "standard";
  const entrance = enterOf(c);
  let x = passing(hooks, entrance, conv(parameters, `model.${entrance}`, image));
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
      if (hooks.last === `${name}_block${i}`) return features;
    }
  }
  return features;
}

/** A block on the way up; `joins`: with features of the way down. */
type Rise = { place: string; block: BlockOptions; joins?: boolean };

/** The blocks of a level on the way up. */
function risesOf(c: EdmConfig, level: number, channels: number): Rise[] {
  const { side, outputs, hasAttention } = levelOf(c, level);
  const name = `dec.${side}`;
  const isEach = c.model_type !== "SongUNet"; // SongUNet attends in the last block alone
  const first: Rise[] =
    level === c.channel_mult.length - 1
      ? [
          { place: `${name}_in0`, block: { outputs: channels, hasAttention: true } },
          { place: `${name}_in1`, block: { outputs: channels } },
        ]
      : [{ place: `${name}_up`, block: { outputs: channels, resampling: "up" } }];
  const joining = Array.from({ length: c.num_blocks + 1 }, (_, i) => ({
    place: `${name}_block${i}`,
    block: { outputs, hasAttention: hasAttention && (isEach || i === c.num_blocks) },
    joins: true,
  }));
  return [...first, ...joining];
}

/** The way up, which takes up the features of the way down from the innermost on; the features of the place where the pass ends. */
function decoded(pass: Pass, features: readonly Tensor[]): Tensor {
  const { c, parameters, style, hooks } = pass;
  const isSong = c.model_type === "SongUNet";
  const skips = [...features];
  let x = skips.at(-1) as Tensor;
  let image: Tensor | undefined;
  for (let level = c.channel_mult.length - 1; level >= 0; level--) {
    for (const { place, block, joins } of risesOf(c, level, x.shape[3] as number)) {
      if (joins) x = passing(hooks, `${place}.joined`, tf.concat([x, skips.pop() as Tensor], -1));
      x = run(pass, place, x, block);
      if (hooks.last === place) return x;
    }
    const name = `model.dec.${levelOf(c, level).side}`;
    if (isSong && (c.decoder_type === "skip" || level === 0)) {
      const added = conv(parameters, `${name}_aux_conv`, silu(edmNorm(parameters, `${name}_aux_norm`, x, style.epsilon)));
      image = image ? tf.add(doubled(image, style.filter), added) : added;
    }
  }
  return image ?? conv(parameters, "model.out_conv", silu(edmNorm(parameters, "model.out_norm", x, style.epsilon)));
}

/**
 * The U-Net itself, F of the preconditioning: [b, h, w, c]. Its places are the names of its blocks and of the first convolution without
 * "model."; where a block takes features of the way down, its name and ".joined".
 */
function apply(c: EdmConfig, parameters: Parameters, inputs: EdmInputs, hooks: Hooks = {}): Tensor {
  const pass = { c, parameters, style: styleOf(c), embedding: embedded(c, parameters, inputs), hooks };
  const features = encoded(pass, inputs.x);
  return hooks.last?.startsWith("enc.") ? (features.at(-1) as Tensor) : decoded(pass, features);
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
  told: (c) => {
    const { model_channels: channels, img_channels: colours } = c;
    const embedding = channels * c.channel_mult_emb;
    const entered = levelOf(c, 0).outputs;
    const first = c.model_type === "SongUNet" ? channels : entered;
    const noise = channels * (c.model_type === "SongUNet" ? c.channel_mult_noise : 1);
    return {
      ...Object.fromEntries(
        c.channel_mult.map((_, level): [string, number[]] => {
          const { side, outputs } = levelOf(c, level);
          return [`model.enc.${side}_block${c.num_blocks - 1}.conv1.kernel`, [3, 3, outputs, outputs]];
        }),
      ),
      [`model.${enterOf(c)}.kernel`]: [3, 3, colours, first],
      "model.map_layer0.kernel": [noise, embedding],
      "model.map_label.kernel": [c.label_dim, c.model_type === "SongUNet" ? noise : embedding],
      "model.map_augment.kernel": [c.augment_dim, noise],
    };
  },
  spare: /\.map_(augment|label)\.bias$/,
  names: () => ({ today: (name) => (name.endsWith(".resample_filter") ? undefined : name) }),
  calls: ["network", "network_raw"],
  forward: (c, parameters, { x, sigma, noise, classes, augment }, call, hooks) => {
    const given = { x: x as Tensor, classes, augment };
    if (call === "network") return { out: denoise(c, parameters, { sigma: sigma as Tensor, ...given }, hooks) };
    return { out: apply(c, parameters, { noise: noise as Tensor, ...given }, hooks) };
  },
  denoiser: edmDenoiser,
};

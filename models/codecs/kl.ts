/**
 * The autoencoder of latent diffusion (Rombach et al. 2022) as diffusers publishes it, AutoencoderKL: a convolutional encoder and
 * decoder around latents with a mean and a variance, as in SD 1.5, SD 2.1, SDXL, PixArt, SD 3, FLUX and DiT.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Hooks, passing } from "../families/family.ts";
import { conv, groupNorm, type Parameters, silu, upsample } from "../layers.ts";
import { crossAttention, paddedConv } from "../published/layers.ts";
import type { PublishedNetwork } from "../published/network.ts";

const size = z.int().positive();
const perChannel = z.array(z.number()).nullable().default(null);

const config = z
  .strictObject({
    act_fn: z.enum(["silu", "swish"]).default("silu"),
    block_out_channels: z.array(size).min(1).default([64]),
    down_block_types: z.array(z.literal("DownEncoderBlock2D")).default(["DownEncoderBlock2D"]),
    force_upcast: z.boolean().default(true), // float32 all the same
    in_channels: size.default(3),
    latent_channels: size.default(4),
    latents_mean: perChannel,
    latents_std: perChannel,
    layers_per_block: size.default(1),
    mid_block_add_attention: z.boolean().default(true),
    norm_num_groups: size.default(32),
    out_channels: size.default(3),
    sample_size: z.union([size, z.array(size)]).default(32), // of training
    scaling_factor: z.number().positive().default(0.18215),
    shift_factor: z.number().nullable().default(null),
    up_block_types: z.array(z.literal("UpDecoderBlock2D")).default(["UpDecoderBlock2D"]),
    use_post_quant_conv: z.boolean().default(true),
    use_quant_conv: z.boolean().default(true),
  })
  .superRefine((c, context) => {
    const wrong = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    const levels = c.block_out_channels.length;
    for (const key of ["down_block_types", "up_block_types"] as const) {
      if (c[key].length !== levels) wrong(key, `there must be ${levels}, one for each of block_out_channels`);
    }
    const uneven = c.block_out_channels.find((channels) => channels % c.norm_num_groups !== 0);
    if (uneven !== undefined) wrong("norm_num_groups", `${uneven} channels do not divide into such groups`);
    for (const [key, other] of [
      ["latents_mean", "latents_std"],
      ["latents_std", "latents_mean"],
    ] as const) {
      if (c[key] && c[key].length !== c.latent_channels) wrong(key, `there must be ${c.latent_channels}, one for each latent channel`);
      if (c[key] && !c[other]) wrong(other, `${key} is given`);
    }
  });
export type KlConfig = z.infer<typeof config>;

/** The epsilon of every norm of this network. */
const EPSILON = 1e-6;

/** Side of an image over side of its latent: it halves once between two levels. */
export const downsampleOf = ({ block_out_channels: levels }: Pick<KlConfig, "block_out_channels">): number => 2 ** (levels.length - 1);

/**
 * How a denoiser sees latents, one number a channel: (latents - mean) * scale. Of means and deviations where the config has them,
 * else of shift_factor and scaling_factor alone.
 */
export function latentScale(c: KlConfig): { mean: number[]; scale: number[] } {
  const channels = <T>(of: (i: number) => T) => Array.from({ length: c.latent_channels }, (_, i) => of(i));
  return {
    mean: channels((i) => c.latents_mean?.[i] ?? c.shift_factor ?? 0),
    scale: channels((i) => c.scaling_factor / (c.latents_std?.[i] ?? 1)),
  };
}

const norm = (c: KlConfig, parameters: Parameters, name: string, x: Tensor): Tensor =>
  groupNorm(parameters, name, x, c.norm_num_groups, EPSILON);

/** A residual block; where it changes the number of channels a 1x1 convolution carries the rest. */
function residual(c: KlConfig, parameters: Parameters, name: string, x: Tensor): Tensor {
  const first = conv(parameters, `${name}.conv1`, silu(norm(c, parameters, `${name}.norm1`, x)));
  const second = conv(parameters, `${name}.conv2`, silu(norm(c, parameters, `${name}.norm2`, first)));
  return tf.add(second.shape[3] === x.shape[3] ? x : conv(parameters, `${name}.conv_shortcut`, x), second);
}

function residuals(c: KlConfig, parameters: Parameters, name: string, x: Tensor, count: number): Tensor {
  let h = x;
  for (let i = 0; i < count; i++) h = residual(c, parameters, `${name}.resnets.${i}`, h);
  return h;
}

/** Attention of one head among all pixels. */
function attended(c: KlConfig, parameters: Parameters, name: string, x: Tensor): Tensor {
  const [b, h, w, channels] = x.shape as [number, number, number, number];
  const tokens = tf.reshape(norm(c, parameters, `${name}.group_norm`, x), [b, h * w, channels]) as Tensor;
  return tf.add(x, tf.reshape(crossAttention(parameters, name, tokens, { heads: 1 }), [b, h, w, channels]));
}

/** The widest level between its two residual blocks. */
function middle(c: KlConfig, parameters: Parameters, name: string, x: Tensor): Tensor {
  const first = residual(c, parameters, `${name}.resnets.0`, x);
  const second = c.mid_block_add_attention ? attended(c, parameters, `${name}.attentions.0`, first) : first;
  return residual(c, parameters, `${name}.resnets.1`, second);
}

function ending(c: KlConfig, parameters: Parameters, name: string, x: Tensor): Tensor {
  return conv(parameters, `${name}.conv_out`, silu(norm(c, parameters, `${name}.conv_norm_out`, x)));
}

/**
 * image [b, h, w, channels] in [-1, 1] -> mean and logvar [b, h / 2^(levels - 1), ..., latent channels] of its latents. Maps are halved
 * with a row and a column of zeros below and at the right alone.
 */
function encode(c: KlConfig, parameters: Parameters, image: Tensor, hooks: Hooks = {}): { mean: Tensor; logvar: Tensor } {
  let x = conv(parameters, "encoder.conv_in", image);
  c.block_out_channels.forEach((_, level, levels) => {
    const name = `encoder.down_blocks.${level}`;
    x = residuals(c, parameters, name, x, c.layers_per_block);
    if (level < levels.length - 1) x = paddedConv(parameters, `${name}.downsamplers.0.conv`, x, { padding: [0, 1, 0, 1], stride: 2 });
    x = passing(hooks, name, x);
  });
  x = passing(hooks, "encoder.mid_block", middle(c, parameters, "encoder.mid_block", x));
  x = ending(c, parameters, "encoder", x);
  if (c.use_quant_conv) x = conv(parameters, "quant_conv", x);
  const [mean, logvar] = tf.split(x, 2, -1) as [Tensor, Tensor];
  return { mean, logvar: tf.clipByValue(logvar, -30, 20) };
}

/** latents [b, h, w, latent channels], not scaled -> image [b, h * 2^(levels - 1), ..., channels], not clamped. */
function decode(c: KlConfig, parameters: Parameters, latents: Tensor, hooks: Hooks = {}): Tensor {
  const given = c.use_post_quant_conv ? conv(parameters, "post_quant_conv", latents) : latents;
  let x = conv(parameters, "decoder.conv_in", given);
  x = passing(hooks, "decoder.mid_block", middle(c, parameters, "decoder.mid_block", x));
  c.block_out_channels.forEach((_, level, levels) => {
    const name = `decoder.up_blocks.${level}`;
    x = residuals(c, parameters, name, x, c.layers_per_block + 1);
    if (level < levels.length - 1) x = conv(parameters, `${name}.upsamplers.0.conv`, upsample(x));
    x = passing(hooks, name, x);
  });
  return ending(c, parameters, "decoder", x);
}

/** "encode": image -> mean, logvar; "decode": latents -> image. */
function apply(
  { config: c, call }: { config: KlConfig; call: string },
  parameters: Parameters,
  inputs: Record<string, Tensor>,
  hooks: Hooks = {},
): Record<string, Tensor> {
  if (call === "encode") return encode(c, parameters, inputs.image as Tensor, hooks);
  return { image: decode(c, parameters, inputs.latents as Tensor, hooks) };
}

/** What the attention of files from before 2023 is called today. */
const OLD_NAMES: Record<string, string> = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };

export const autoencoderKl: PublishedNetwork<KlConfig> = {
  classes: ["AutoencoderKL"],
  config,
  names: () => ({
    today: (name) =>
      name.replace(/(\.attentions\.\d+\.)(query|key|value|proj_attn)\./, (_, stem, old: string) => `${stem}${OLD_NAMES[old]}.`),
  }),
  calls: ["encode", "decode"],
  forward: (c, parameters, inputs, call) => apply({ config: c, call }, parameters, inputs),
};

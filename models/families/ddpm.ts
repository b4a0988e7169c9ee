/**
 * Diffusers' UNet2DModel: U-Nets of pixels and latents without text, as of DDPM (Ho et al. 2020), ADM (Dhariwal & Nichol 2021) and
 * the consistency models (Song et al. 2023).
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";
import { given, lookup, timeEmbedding, timeFeatures } from "../published/layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { attentionBlock } from "./diffusers-blocks.ts";
import { unetBuilt } from "./diffusers-denoisers.ts";
import { averagingKeys, type Course, diffusersUnet, type Level } from "./diffusers-unet.ts";
import type { Hooks } from "./family.ts";

const size = z.int().positive();
const downBlock = z.enum(["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]);
const upBlock = z.enum(["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]);
const resampling = z.enum(["conv", "resnet"]).default("conv"); // of blocks with attention

const config = z
  .strictObject({
    ...averagingKeys,
    act_fn: z.enum(["silu", "swish"]).default("silu"),
    add_attention: z.boolean().default(true), // in the middle
    attention_head_dim: size.nullable().default(8), // null is one head
    attn_norm_num_groups: size.nullable().default(null), // in the middle
    block_out_channels: z.array(size).min(1).default([224, 448, 672, 896]),
    center_input_sample: z.boolean().default(false),
    class_embed_type: z.enum(["timestep", "identity"]).nullable().default(null),
    down_block_types: z.array(downBlock).default(["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"]),
    downsample_padding: z.int().min(0).max(1).default(1),
    downsample_type: resampling,
    dropout: z.number().default(0), // of training
    flip_sin_to_cos: z.boolean().default(true),
    freq_shift: z.number().default(0),
    in_channels: size.default(3),
    layers_per_block: size.default(2),
    mid_block_scale_factor: z.number().positive().default(1),
    mid_block_type: z.literal("UNetMidBlock2D").nullable().default("UNetMidBlock2D"),
    norm_eps: z.number().default(1e-5),
    norm_num_groups: size.default(32),
    num_class_embeds: size.nullable().default(null),
    num_train_timesteps: size.nullable().default(null), // of another time_embedding_type
    out_channels: size.default(3),
    resnet_time_scale_shift: z.enum(["default", "scale_shift"]).default("default"),
    sample_size: z
      .union([size, z.array(size)])
      .nullable()
      .default(null), // of no weight
    time_embedding_dim: size.nullable().default(null), // as its layers have it
    time_embedding_type: z.literal("positional").default("positional"),
    up_block_types: z.array(upBlock).default(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
    upsample_type: resampling,
  })
  .superRefine(({ block_out_channels: { length }, ...lists }, context) => {
    for (const key of ["down_block_types", "up_block_types"] as const) {
      if (lists[key].length !== length) context.addIssue({ code: "custom", path: [key], message: `expected one of ${length} levels each` });
    }
  });
type Config = z.infer<typeof config>;

function courseOf(c: Config, parameters: Parameters): Course {
  const { norm_num_groups: groups, norm_eps: epsilon, layers_per_block: layers, mid_block_scale_factor: middleDivisor } = c;
  const isScaleShift = c.resnet_time_scale_shift === "scale_shift";
  const headsOf = ({ shape }: Tensor): number =>
    c.attention_head_dim === null ? 1 : Math.floor((shape[3] as number) / c.attention_head_dim);
  const attention = (options: { groups?: number; divisor?: number }) => (name: string, x: Tensor) =>
    attentionBlock(parameters, name, x, { heads: headsOf(x), epsilon, ...options });
  const levelOf = (kind: string, count: number, options: { isLast: boolean; type: "conv" | "resnet" }): Level => ({
    layers: count,
    ...(kind.startsWith("Attn") && { attend: attention({ groups }) }),
    ...(!options.isLast && { resampling: kind.startsWith("Attn") ? options.type : kind.startsWith("Resnet") ? "resnet" : "conv" }),
  });
  const last = c.block_out_channels.length - 1;
  const middleGroups = c.attn_norm_num_groups ?? (isScaleShift ? undefined : groups);
  return {
    down: c.down_block_types.map((kind, i) => levelOf(kind, layers, { isLast: i === last, type: c.downsample_type })),
    middle: c.mid_block_type
      ? {
          layers: 2,
          ...(c.add_attention && { attend: attention({ ...(middleGroups && { groups: middleGroups }), divisor: middleDivisor }) }),
        }
      : undefined,
    up: c.up_block_types.map((kind, i) => levelOf(kind, layers + 1, { isLast: i === last, type: c.upsample_type })),
    resnet: { groups, epsilon, isScaleShift },
    middleDivisor,
    padding: c.downsample_padding,
  };
}

/** The vector [b, width] of time and class. */
function vectorOf(c: Config, parameters: Parameters, inputs: Record<string, Tensor>): Tensor {
  const [width = 0] = c.block_out_channels;
  const features = (times: Tensor): Tensor => timeFeatures(times, { width, cosinesFirst: c.flip_sin_to_cos, shift: c.freq_shift });
  const time = timeEmbedding(parameters, "time_embedding", features(given(inputs, "timestep")));
  if (c.class_embed_type === null && c.num_class_embeds === null) return time;
  const labels = given(inputs, "class_labels");
  if (c.class_embed_type === "identity") return tf.add(time, labels);
  if (c.class_embed_type === "timestep") return tf.add(time, timeEmbedding(parameters, "class_embedding", features(labels)));
  return tf.add(time, lookup(parameters, "class_embedding", labels));
}

/** The network past the places of diffusers-unet.ts: sample [b, h, w, in], timestep [b], class_labels [b] -> [b, h, w, out]. */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const image = given(inputs, "sample");
  const sample = c.center_input_sample ? tf.sub(tf.mul(image, 2), 1) : image;
  return diffusersUnet(courseOf(c, parameters), parameters, { sample, vector: vectorOf(c, parameters, inputs) }, hooks);
}

/** Attention's layers as diffusers called them until 0.14. */
const OLD_NAMES = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };

export const ddpm: PublishedNetwork<Config> = {
  classes: ["UNet2DModel"],
  config,
  names: ({ class_embed_type: type }) => ({
    ...(type === null && { tables: /^class_embedding\.weight$/ }),
    today: (name) =>
      name.replace(/(\.attentions\.\d+)\.(query|key|value|proj_attn)\./, (_, block, old) => `${block}.${OLD_NAMES[old as "query"]}.`),
  }),
  told: ({ block_out_channels: widths, ...c }) => ({
    ...Object.fromEntries(
      widths.map((width, level) => [
        `down_blocks.${level}.resnets.0.conv1.kernel`,
        [3, 3, widths[Math.max(level - 1, 0)] as number, width],
      ]),
    ),
    "conv_in.kernel": [3, 3, c.in_channels, widths[0] as number],
    "conv_out.kernel": [3, 3, widths[0] as number, c.out_channels],
    "time_embedding.linear_1.kernel": [widths[0] as number, c.time_embedding_dim ?? 4 * (widths[0] as number)],
  }),
  forward: (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) }),
  denoiser: (c) => {
    const [height, width] = [c.sample_size].flat() as (number | null)[];
    return {
      shape: [height ?? 32, width ?? height ?? 32, c.in_channels],
      sizes: { multiple: 2 ** (c.block_out_channels.length - 1) },
      conditions: c.class_embed_type === null && c.num_class_embeds ? { classes: c.num_class_embeds } : {},
      // There is no row for "no class": the last one stands in.
      inputs: ({ x, noiseLevel, label }) => ({
        sample: x,
        timestep: noiseLevel,
        ...(label && { class_labels: tf.minimum(label, tf.scalar((c.num_class_embeds ?? 1) - 1, "int32")) }),
      }),
      ...unetBuilt({
        inputs: c.in_channels,
        levels: c.block_out_channels.map((channels, level) => ({
          channels,
          layers: c.layers_per_block,
          hasAttention: (c.up_block_types.at(-1 - level) as string).startsWith("Attn"),
        })),
        middles: c.mid_block_type === null ? 0 : 2,
      }),
    };
  },
};

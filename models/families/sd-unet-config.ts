/** The config.json of diffusers' UNet2DConditionModel: which keys and values are understood, and what they say of each level. */
import * as z from "zod";
import { averagingKeys } from "./diffusers-unet.ts";

const size = z.int().positive();
const depth = z.union([size, z.array(size)]); // transformer blocks of a level, or of each of its layers
const kernel = z
  .int()
  .positive()
  .refine((side) => side % 2 === 1, "expected an odd number");
/** One value for all levels, or one for each. */
const perLevel = <T extends z.ZodType>(value: T) => z.union([value, z.array(value)]);

export const config = z
  .strictObject({
    ...averagingKeys,
    act_fn: z.enum(["silu", "swish"]).default("silu"),
    addition_embed_type: z.literal("text_time").nullable().default(null),
    addition_embed_type_num_heads: z.unknown().optional(), // of another addition_embed_type
    addition_time_embed_dim: size.nullable().default(null),
    attention_head_dim: perLevel(size).default(8), // counts heads
    attention_type: z.literal("default").default("default"),
    block_out_channels: z.array(size).min(1).default([320, 640, 1280, 1280]),
    center_input_sample: z.boolean().default(false),
    class_embed_type: z.enum(["timestep", "projection"]).nullable().default(null),
    class_embeddings_concat: z.literal(false).default(false),
    conv_in_kernel: kernel.default(3), // as its layer has it
    conv_out_kernel: kernel.default(3), // as its layer has it
    cross_attention_dim: perLevel(size).default(1280), // as its layers have it
    cross_attention_norm: z.null().default(null),
    down_block_types: z
      .array(z.enum(["CrossAttnDownBlock2D", "DownBlock2D"]))
      .default(["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]),
    downsample_padding: z.int().min(0).max(1).default(1),
    dropout: z.number().default(0), // of training
    dual_cross_attention: z.literal(false).default(false),
    encoder_hid_dim: size.nullable().default(null),
    encoder_hid_dim_type: z.literal("text_proj").nullable().default(null), // implied by encoder_hid_dim
    flip_sin_to_cos: z.boolean().default(true),
    freq_shift: z.number().default(0),
    in_channels: size.default(4),
    layers_per_block: perLevel(size).default(2),
    mid_block_only_cross_attention: z.unknown().optional(), // of another mid_block_type
    mid_block_scale_factor: z.number().positive().default(1),
    mid_block_type: z.enum(["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"]).nullable().default("UNetMidBlock2DCrossAttn"),
    norm_eps: z.number().default(1e-5),
    norm_num_groups: size.default(32),
    num_attention_heads: z.null().default(null), // diffusers refuses it too
    num_class_embeds: size.nullable().default(null),
    only_cross_attention: perLevel(z.boolean()).default(false),
    out_channels: size.default(4),
    projection_class_embeddings_input_dim: size.nullable().default(null), // as its layer has it
    resnet_out_scale_factor: z.unknown().optional(), // of other blocks
    resnet_skip_time_act: z.unknown().optional(), // of other blocks
    resnet_time_scale_shift: z.enum(["default", "scale_shift"]).default("default"),
    reverse_transformer_layers_per_block: z.array(depth).nullable().default(null),
    sample_size: perLevel(size).nullable().default(null), // of no weight
    time_cond_proj_dim: size.nullable().default(null),
    time_embedding_act_fn: z.null().default(null),
    time_embedding_dim: size.nullable().default(null), // as its layers have it
    time_embedding_type: z.literal("positional").default("positional"),
    timestep_post_act: z.null().default(null),
    transformer_layers_per_block: z.union([size, z.array(depth)]).default(1),
    up_block_types: z
      .array(z.enum(["UpBlock2D", "CrossAttnUpBlock2D"]))
      .default(["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
    upcast_attention: z.boolean().nullable().default(false), // float32 all the same
    use_linear_projection: z.boolean().default(false), // as its layers have it
  })
  .superRefine((settings, context) => {
    const levels = settings.block_out_channels.length;
    for (const key of LISTS) {
      const value = settings[key];
      if (Array.isArray(value) && value.length !== levels)
        context.addIssue({ code: "custom", path: [key], message: `expected one for each of ${levels} levels` });
    }
    const { addition_embed_type: added, addition_time_embed_dim: width } = settings;
    if (added === "text_time" && width === null)
      context.addIssue({ code: "custom", path: ["addition_time_embed_dim"], message: "text_time asks for a number" });
  });
export type SdUnetConfig = z.infer<typeof config>;

/** Keys that have one value for each level, where they are lists. */
const LISTS = [
  "attention_head_dim",
  "cross_attention_dim",
  "down_block_types",
  "layers_per_block",
  "only_cross_attention",
  "reverse_transformer_layers_per_block",
  "transformer_layers_per_block",
  "up_block_types",
] as const;

/** What a level is like on the way down. */
export interface SdUnetLevel {
  layers: number;
  heads: number;
  isCrossOnly: boolean;
  depth: number | readonly number[];
}

/** All levels, the finest first. */
export function levelsOf(c: SdUnetConfig): SdUnetLevel[] {
  const at = <T>(value: T | readonly T[], level: number): T => (Array.isArray(value) ? value[level] : value) as T;
  return c.block_out_channels.map((_, level) => ({
    layers: at(c.layers_per_block, level),
    heads: at(c.attention_head_dim, level),
    isCrossOnly: at(c.only_cross_attention, level),
    depth: at<number | number[]>(c.transformer_layers_per_block, level),
  }));
}

/** Transformer blocks of one layer of a level. */
export const depthAt = (depth: number | readonly number[], layer: number): number =>
  typeof depth === "number" ? depth : (depth[layer] as number);

/** The config.json of EDM's networks, with the settings of their code's defaults, and what it says of each level. */
import * as z from "zod";

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

export const config = z.discriminatedUnion("model_type", [song, dhariwal]);

/** What names, channels and attention of a level are. */
export function levelOf(c: EdmConfig, level: number): { side: string; outputs: number; hasAttention: boolean } {
  const resolution = c.img_resolution >> level;
  return {
    side: `${resolution}x${resolution}`,
    outputs: c.model_channels * (c.channel_mult[level] as number),
    hasAttention: c.attn_resolutions.includes(resolution),
  };
}

/** The place after the first convolution. */
export const enterOf = (c: EdmConfig): string => `enc.${levelOf(c, 0).side}_conv`;

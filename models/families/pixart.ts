/**
 * PixArt-alpha and PixArt-Sigma (Chen et al. 2023, 2024) as diffusers publishes them, PixArtTransformer2DModel, Transformer2DModel
 * in folders of 2023: one modulation for all blocks, to which each adds a table, and cross-attention to a caption.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { linear, type Parameters, parameter, silu, unpatchify } from "../layers.ts";
import { activations, crossAttention, given, givenText, paddedConv } from "../published/layers.ts";
import type { PublishedDenoiser, PublishedNetwork } from "../published/network.ts";
import { gridPositions } from "../published/positions.ts";
import { embeddedNumbers, feedForward, modulated } from "./diffusers-transformer.ts";
import { transformerBuilt } from "./diffusers-denoisers.ts";
import { type Hooks, passing } from "./family.ts";

const size = z.int().positive();
const activation = z.enum(["gelu", "gelu-approximate"]);

/** What both classes take, with defaults that do not differ. */
const common = {
  attention_type: z.literal("default").default("default"),
  caption_channels: size.nullable().default(null), // null: captions have the network's width already
  double_self_attention: z.literal(false).default(false),
  dropout: z.number().default(0), // of training
  interpolation_scale: z.number().positive().nullable().default(null), // null: by sample_size
  norm_num_groups: z.unknown().optional(), // of another kind of input
  num_attention_heads: size.default(16),
  num_embeds_ada_norm: z.unknown().optional(), // times are embedded by their sines here
  num_vector_embeds: z.null().default(null),
  only_cross_attention: z.literal(false).default(false),
  upcast_attention: z.boolean().default(false), // float32 all the same
  use_additional_conditions: z.boolean().nullable().default(null), // null: at sample_size 128
  use_linear_projection: z.unknown().optional(), // of another kind of input
};

const config = z.strictObject({
  ...common,
  activation_fn: activation.default("gelu-approximate"),
  attention_bias: z.literal(true).default(true),
  attention_head_dim: size.default(72),
  cross_attention_dim: size.default(1152),
  in_channels: size.default(4),
  norm_elementwise_affine: z.literal(false).default(false),
  norm_eps: z.number().default(1e-6),
  norm_type: z.literal("ada_norm_single").default("ada_norm_single"),
  num_layers: size.default(28),
  out_channels: size.nullable().default(8),
  patch_size: size.default(2),
  sample_size: size.default(128),
});
type Config = z.infer<typeof config>;

/** The older class serves other networks too: what it takes to be a PixArt has to stand there. */
const oldConfig = z.strictObject({
  ...common,
  activation_fn: activation,
  attention_bias: z.literal(true),
  attention_head_dim: size.default(88),
  cross_attention_dim: size,
  in_channels: size,
  norm_elementwise_affine: z.literal(false),
  norm_eps: z.number().default(1e-5),
  norm_type: z.literal("ada_norm_single"),
  num_layers: size.default(1),
  out_channels: size.nullable().default(null),
  patch_size: size,
  sample_size: size,
});

/** Whether the network is told the picture's size and aspect. */
const takesSize = (c: Config): boolean => c.use_additional_conditions ?? c.sample_size === 128;

/** Time, and where it is told them size and aspect, as one vector [b, width]. */
function embedded(c: Config, parameters: Parameters, inputs: Record<string, Tensor>): Tensor {
  const name = "adaln_single.emb";
  const time = embeddedNumbers(parameters, `${name}.timestep_embedder`, given(inputs, "timestep"));
  if (!takesSize(c)) return time;
  const each = (input: string): Tensor => {
    const numbers = given(inputs, input);
    const vectors = embeddedNumbers(parameters, `${name}.${input}_embedder`, tf.reshape(numbers, [-1]));
    return tf.reshape(vectors, [numbers.shape[0] as number, -1]);
  };
  return tf.add(time, tf.concat([each("resolution"), each("aspect_ratio")], -1));
}

/** A table [parts, width] added to vectors [b, parts or 1, width], row by row: `parts` of [b, 1, width]. */
function tabled(parameters: Parameters, name: string, vectors: Tensor, parts: number): Tensor[] {
  return tf.split(tf.add(vectors, parameter(parameters, `${name}scale_shift_table`)), parts, 1) as Tensor[];
}

/** What is added to the scores of captions' tokens: a mask [b, m] of 1 and 0 hides those with 0; [b, 1, m] is such a bias already. */
function maskBias(mask: Tensor): Tensor {
  const [b, m] = [mask.shape[0] as number, mask.shape.at(-1) as number];
  const numbers = tf.cast(mask, "float32");
  return tf.reshape(mask.rank === 2 ? tf.mul(tf.sub(1, numbers), -10000) : numbers, [b, 1, 1, m]);
}

interface Told {
  caption: Tensor;
  /** The six parts of the modulation that all blocks share, [b, 6, width]. */
  shared: Tensor;
  bias?: Tensor;
}

function block(c: Config, parameters: Parameters, name: string, x: Tensor, { caption, shared, bias }: Told): Tensor {
  const parts = tabled(parameters, `${name}.`, shared, 6) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const [shift1, scale1, gate1, shift2, scale2, gate2] = parts;
  const heads = c.num_attention_heads;
  const own = crossAttention(parameters, `${name}.attn1`, modulated(x, shift1, scale1, c.norm_eps), { heads });
  const middle = tf.add(x, tf.mul(gate1, own)) as Tensor;
  const read = crossAttention(parameters, `${name}.attn2`, middle, { context: caption, heads, ...(bias && { bias }) });
  const late = tf.add(middle, read) as Tensor;
  const fed = feedForward(parameters, `${name}.ff`, modulated(late, shift2, scale2, c.norm_eps), c.activation_fn);
  return tf.add(late, tf.mul(gate2, fed));
}

/** Patches [b, rows, columns, width] as tokens with their positions: those of a grid of the size trained on, stretched to this one. */
function placed(c: Config, patches: Tensor): Tensor {
  const [b, rows, columns, channels] = patches.shape as [number, number, number, number];
  const base = Math.floor(c.sample_size / c.patch_size);
  const finer = c.interpolation_scale ?? Math.max(Math.floor(c.sample_size / 64), 1);
  const scale = [(rows / base) * finer, (columns / base) * finer] as const;
  const positions = gridPositions({ height: rows, width: columns, channels, scale });
  return tf.add(tf.reshape(patches, [b, rows * columns, channels]), tf.tensor3d(positions, [1, rows * columns, channels]));
}

/**
 * hidden_states [b, h, w, c], encoder_hidden_states [b, m, e], with encoder_attention_mask [b, m] or a bias [b, 1, m] where there is
 * one, timestep [b] from 0 to 999, and for networks told the size resolution [b, 2] and aspect_ratio [b, 1], to
 * [b, h, w, out channels]. Places, whose features are tokens [b, n, width]: "patches", "transformer_blocks.0" and so on.
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const patch = c.patch_size;
  const patches = paddedConv(parameters, "pos_embed.proj", given(inputs, "hidden_states"), { padding: [0, 0, 0, 0], stride: patch });
  const [b, rows, columns] = patches.shape as [number, number, number, number];
  const vector = embedded(c, parameters, inputs);
  const mask = inputs.encoder_attention_mask;
  const told: Told = {
    caption: caption(c, parameters, given(inputs, "encoder_hidden_states")),
    shared: tf.reshape(linear(parameters, "adaln_single.linear", silu(vector)), [b, 6, -1]),
    ...(mask && { bias: maskBias(mask) }),
  };
  let x = passing(hooks, "patches", placed(c, patches));
  for (let i = 0; i < c.num_layers; i++) {
    x = passing(hooks, `transformer_blocks.${i}`, block(c, parameters, `transformer_blocks.${i}`, x, told));
    if (hooks.last === `transformer_blocks.${i}`) return x;
  }
  const [shift, scale] = tabled(parameters, "", tf.expandDims(vector, 1), 2) as [Tensor, Tensor];
  const out = linear(parameters, "proj_out", modulated(x, shift, scale));
  return unpatchify(out, { patch, height: rows * patch, width: columns * patch });
}

/** A text encoder's tokens in the network's width. */
function caption(c: Config, parameters: Parameters, tokens: Tensor): Tensor {
  if (c.caption_channels === null) return tokens;
  const up = activations["gelu-approximate"](linear(parameters, "caption_projection.linear_1", tokens));
  return linear(parameters, "caption_projection.linear_2", up);
}

function denoiser(c: Config): PublishedDenoiser {
  const { sample_size: side, in_channels: channels } = c;
  return {
    shape: [side, side, channels],
    sizes: { multiple: c.patch_size },
    conditions: { text: { width: c.caption_channels ?? c.num_attention_heads * c.attention_head_dim, isMasked: true } },
    inputs: ({ x, noiseLevel, pixels: [height, width], ...told }) => {
      const { tokens, mask } = givenText(told);
      const rows = x.shape[0] as number;
      return {
        hidden_states: x,
        timestep: noiseLevel,
        encoder_hidden_states: tokens,
        ...(mask && { encoder_attention_mask: mask }),
        ...(takesSize(c) && {
          resolution: tf.tile(tf.tensor2d([height, width], [1, 2]), [rows, 1]),
          aspect_ratio: tf.fill([rows, 1], height / width),
        }),
      };
    },
    ...transformerBuilt({ width: c.num_attention_heads * c.attention_head_dim, patch: c.patch_size, blocks: c.num_layers }),
  };
}

const forward: PublishedNetwork<Config>["forward"] = (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) });

function told(c: Config): Record<string, readonly number[]> {
  const width = c.num_attention_heads * c.attention_head_dim;
  return {
    "pos_embed.proj.kernel": [c.patch_size, c.patch_size, c.in_channels, width],
    "transformer_blocks.0.attn2.to_k.kernel": [c.cross_attention_dim, width],
    "proj_out.kernel": [width, c.patch_size ** 2 * (c.out_channels ?? c.in_channels)],
    ...(c.caption_channels !== null && { "caption_projection.linear_1.kernel": [c.caption_channels, width] }),
  };
}

export const pixart: PublishedNetwork<Config> = { classes: ["PixArtTransformer2DModel"], config, told, forward, denoiser };

export const pixartOld: PublishedNetwork<Config> = { classes: ["Transformer2DModel"], config: oldConfig, told, forward, denoiser };

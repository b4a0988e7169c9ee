/**
 * The multimodal diffusion transformer of Stable Diffusion 3 and 3.5 (Esser et al. 2024) as diffusers publishes it,
 * SD3Transformer2DModel: image and text attend to each other, and positions are stored for a large grid and cut from its middle.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import { linear, type Parameters, parameter, unpatchify } from "../layers.ts";
import { given, givenText, paddedConv } from "../published/layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { conditionVector, continuousNorm, jointBlock, type Streams } from "./diffusers-transformer.ts";
import { transformerBuilt } from "./diffusers-denoisers.ts";
import { type Hooks, passing } from "./family.ts";

const size = z.int().positive();

const config = z.strictObject({
  attention_head_dim: size.default(64),
  caption_projection_dim: size.default(1152),
  dual_attention_layers: z.array(z.int().nonnegative()).default([]), // blocks in which the image attends to itself as well
  in_channels: size.default(16),
  joint_attention_dim: size.default(4096),
  num_attention_heads: size.default(18),
  num_layers: size.default(18),
  out_channels: size.nullable().default(16),
  patch_size: size.default(2),
  pooled_projection_dim: size.default(2048),
  pos_embed_max_size: size.default(96), // patches along a side of the stored positions
  qk_norm: z.literal("rms_norm").nullable().default(null),
  sample_size: size.default(128), // of training: positions are stored
});
type Config = z.infer<typeof config>;

/** The middle [1, rows * columns, width] of the stored positions. Throws a Failure where the grid is larger than theirs. */
function croppedPositions(c: Config, parameters: Parameters, rows: number, columns: number): Tensor {
  const side = c.pos_embed_max_size;
  if (rows > side || columns > side)
    throw new Failure(`Cannot place ${rows}x${columns} patches: pos_embed.pos_embed has places for ${side}x${side}. Give a smaller image.`);
  const [top, left] = [Math.floor((side - rows) / 2), Math.floor((side - columns) / 2)];
  const grid = tf.reshape(parameter(parameters, "pos_embed.pos_embed"), [side, side, -1]);
  return tf.reshape(tf.slice(grid, [top, left, 0], [rows, columns, -1]), [1, rows * columns, -1]);
}

/**
 * hidden_states [b, h, w, c], encoder_hidden_states [b, m, e], pooled_projections [b, p] and timestep [b], from 0 to 1000, to
 * [b, h, w, out channels]. Places, whose features are the image's tokens [b, n, width]: "patches", "transformer_blocks.0" and so on.
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const patch = c.patch_size;
  const patches = paddedConv(parameters, "pos_embed.proj", given(inputs, "hidden_states"), { padding: [0, 0, 0, 0], stride: patch });
  const [b, rows, columns, width] = patches.shape as [number, number, number, number];
  const placed = tf.add(tf.reshape(patches, [b, rows * columns, width]), croppedPositions(c, parameters, rows, columns)) as Tensor;
  const [times, pooled] = [given(inputs, "timestep"), given(inputs, "pooled_projections")];
  const vector = conditionVector(parameters, "time_text_embed", { times, pooled });
  let streams: Streams = {
    image: passing(hooks, "patches", placed),
    text: linear(parameters, "context_embedder", given(inputs, "encoder_hidden_states")),
  };
  for (let i = 0; i < c.num_layers; i++) {
    const { image, text } = jointBlock(parameters, `transformer_blocks.${i}`, streams, {
      vector,
      heads: c.num_attention_heads,
      isNormed: c.qk_norm === "rms_norm",
      isDual: c.dual_attention_layers.includes(i),
      isLast: i === c.num_layers - 1,
      isOver: hooks.last === `transformer_blocks.${i}`,
    });
    streams = { image: passing(hooks, `transformer_blocks.${i}`, image), text };
    if (hooks.last === `transformer_blocks.${i}`) return streams.image;
  }
  const out = linear(parameters, "proj_out", continuousNorm(parameters, "norm_out", streams.image, vector));
  return unpatchify(out, { patch, height: rows * patch, width: columns * patch });
}

export const mmdit: PublishedNetwork<Config> = {
  classes: ["SD3Transformer2DModel"],
  config,
  told: (c) => {
    const width = c.num_attention_heads * c.attention_head_dim;
    return {
      "pos_embed.proj.kernel": [c.patch_size, c.patch_size, c.in_channels, width],
      "pos_embed.pos_embed": [1, c.pos_embed_max_size ** 2, width],
      "context_embedder.kernel": [c.joint_attention_dim, c.caption_projection_dim],
      "time_text_embed.text_embedder.linear_1.kernel": [c.pooled_projection_dim, width],
      "proj_out.kernel": [width, c.patch_size ** 2 * (c.out_channels ?? c.in_channels)],
    };
  },
  forward: (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) }),
  denoiser: (c) => ({
    shape: [c.sample_size, c.sample_size, c.in_channels],
    sizes: { multiple: c.patch_size, most: c.patch_size * c.pos_embed_max_size },
    conditions: { text: { width: c.joint_attention_dim, pooled: c.pooled_projection_dim } },
    inputs: ({ x, noiseLevel, ...told }) => ({
      hidden_states: x,
      timestep: tf.mul(noiseLevel, 1000),
      encoder_hidden_states: givenText(told).tokens,
      pooled_projections: given(told, "vector"),
    }),
    ...transformerBuilt({ width: c.num_attention_heads * c.attention_head_dim, patch: c.patch_size, blocks: c.num_layers }),
  }),
};

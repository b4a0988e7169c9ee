/**
 * FLUX (Black Forest Labs 2024) as diffusers publishes it, FluxTransformer2DModel: double blocks, in which image and text have
 * layers of their own, then single ones for both; positions turn queries and keys. It takes latents packed into tokens.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import { linear, type Parameters, patchify, unpatchify } from "../layers.ts";
import { activations, given, givenText } from "../published/layers.ts";
import type { PublishedDenoiser, PublishedNetwork } from "../published/network.ts";
import {
  type Attending,
  conditionVector,
  continuousNorm,
  jointBlock,
  modulated,
  modulation,
  type Rotation,
  type Streams,
  streamAttention,
} from "./diffusers-transformer.ts";
import { transformerBuilt } from "./diffusers-denoisers.ts";
import { type Hooks, passing } from "./family.ts";

const size = z.int().positive();

const config = z
  .strictObject({
    attention_head_dim: size.default(128),
    axes_dims_rope: z.array(size.multipleOf(2)).default([16, 56, 56]), // channels of a head that each of a token's coordinates turns
    guidance_embeds: z.boolean().default(false),
    in_channels: size.default(64),
    joint_attention_dim: size.default(4096),
    num_attention_heads: size.default(24),
    num_layers: size.default(19),
    num_single_layers: size.default(38),
    out_channels: size.nullable().default(null),
    patch_size: size.default(1),
    pooled_projection_dim: size.default(768),
  })
  .refine((c) => c.axes_dims_rope.reduce((sum, channels) => sum + channels, 0) === c.attention_head_dim, {
    path: ["axes_dims_rope"],
    message: "its sum must be attention_head_dim",
  });
type Config = z.infer<typeof config>;

/** Turns of tokens at `ids` [n, axes]: each axis has channels of its own, whose rates fall from 1 to nearly 1 / 10000. */
function rotationOf(ids: Tensor, axes: readonly number[]): Rotation {
  const places = tf.split(tf.cast(ids, "float32"), axes.length, 1) as Tensor[];
  const angles = axes.map((channels, axis) => {
    const rates = Float32Array.from({ length: channels / 2 }, (_, i) => 10000 ** ((-2 * i) / channels));
    return tf.mul(places[axis] as Tensor, tf.tensor2d(rates, [1, channels / 2])) as Tensor;
  });
  const all = tf.expandDims(tf.concat(angles, 1), 1);
  return { cosines: tf.cos(all), sines: tf.sin(all) };
}

/** A single block: attention and feed-forward side by side, of the text's and the image's tokens in one row. */
function singleBlock(
  parameters: Parameters,
  name: string,
  { image, text }: Streams,
  { vector, ...attending }: Attending & { vector: Tensor },
): Streams {
  const x = tf.concat([text, image], 1);
  const [shift, scale, gate] = modulation(parameters, `${name}.norm.linear`, vector, 3) as [Tensor, Tensor, Tensor];
  const normed = modulated(x, shift, scale);
  const up = activations["gelu-approximate"](linear(parameters, `${name}.proj_mlp`, normed));
  const attended = streamAttention(parameters, `${name}.attn`, normed, attending);
  const y = tf.add(x, tf.mul(gate, linear(parameters, `${name}.proj_out`, tf.concat([attended, up], -1))));
  const [before, after] = tf.split(y, [text.shape[1] as number, image.shape[1] as number], 1) as [Tensor, Tensor];
  return { image: after, text: before };
}

/**
 * hidden_states [b, n, c], encoder_hidden_states [b, m, e], pooled_projections [b, p], timestep [b] from 0 to 1, guidance [b] where
 * the config has it embedded, img_ids [n, axes] and txt_ids [m, axes], to [b, n, out channels]. Places, whose features are the
 * image's tokens [b, n, width]: "patches", "transformer_blocks.0" and so on, then "single_transformer_blocks.0" and so on.
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const thousandfold = (name: string): Tensor => tf.mul(given(inputs, name), 1000);
  const vector = conditionVector(parameters, "time_text_embed", {
    times: thousandfold("timestep"),
    pooled: given(inputs, "pooled_projections"),
    guidance: c.guidance_embeds ? thousandfold("guidance") : undefined,
  });
  const ids = ["txt_ids", "img_ids"].map((name) => tf.cast(given(inputs, name), "float32"));
  const rotation = rotationOf(tf.concat(ids, 0), c.axes_dims_rope);
  const told = { vector, heads: c.num_attention_heads, isNormed: true, rotation };
  let streams: Streams = {
    image: passing(hooks, "patches", linear(parameters, "x_embedder", given(inputs, "hidden_states"))),
    text: linear(parameters, "context_embedder", given(inputs, "encoder_hidden_states")),
  };
  const blocks = [
    ...Array.from({ length: c.num_layers }, (_, i) => ({ name: `transformer_blocks.${i}`, block: jointBlock })),
    ...Array.from({ length: c.num_single_layers }, (_, i) => ({ name: `single_transformer_blocks.${i}`, block: singleBlock })),
  ];
  for (const { name, block } of blocks) {
    const { image, text } = block(parameters, name, streams, { ...told, isOver: hooks.last === name });
    streams = { image: passing(hooks, name, image), text };
    if (hooks.last === name) return streams.image;
  }
  return linear(parameters, "proj_out", continuousNorm(parameters, "norm_out", streams.image, vector));
}

/** Squares of 2x2 latent pixels as tokens, as FLUX's pipeline packs them, channel by channel: [b, h, w, c] -> [b, h w / 4, 4 c]. */
function packed(x: Tensor): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const tokens = tf.reshape(patchify(x, 2), [b, (h * w) / 4, 4, c]);
  return tf.reshape(tf.transpose(tokens, [0, 1, 3, 2]), [b, (h * w) / 4, 4 * c]);
}

/** The inverse of {@link packed}, of a map of the size of `like` [b, h, w, any]. */
function unpacked(tokens: Tensor, like: Tensor): Tensor {
  const [b, n, channels] = tokens.shape as [number, number, number];
  const [, height, width] = like.shape as [number, number, number, number];
  const squares = tf.transpose(tf.reshape(tokens, [b, n, channels / 4, 4]), [0, 1, 3, 2]);
  return unpatchify(tf.reshape(squares, [b, n, channels]), { patch: 2, height, width });
}

/** Coordinates of the tokens of a grid, row after row: [rows * columns, axes], of which the second is the row and the third the column. */
function gridIds(rows: number, columns: number, axes: number): Tensor {
  const ids = new Float32Array(rows * columns * axes);
  for (let token = 0; token < rows * columns; token++) ids.set([0, Math.floor(token / columns), token % columns], token * axes);
  return tf.tensor2d(ids, [rows * columns, axes]);
}

/** Side of the latents that FLUX was trained on: pictures of 1024 pixels. */
const SIDE = 128;

function denoiser(c: Config): PublishedDenoiser {
  const axes = c.axes_dims_rope.length;
  if (c.in_channels !== (c.out_channels ?? c.in_channels) || c.in_channels % 4 !== 0 || axes !== 3) {
    throw new Failure(
      `Cannot denoise with this FLUX: of in_channels ${c.in_channels}, out_channels ${c.out_channels} and axes_dims_rope of ${axes} ` +
        "it asks for more than latents and a text. Take FLUX dev or schnell.",
    );
  }
  return {
    shape: [SIDE, SIDE, c.in_channels / 4],
    sizes: { multiple: 2 },
    conditions: {
      text: { width: c.joint_attention_dim, pooled: c.pooled_projection_dim },
      ...(c.guidance_embeds && { guidance: true }),
    },
    inputs: ({ x, noiseLevel, ...told }) => {
      const { tokens } = givenText(told);
      const [, height, width] = x.shape as [number, number, number, number];
      return {
        hidden_states: packed(x),
        timestep: noiseLevel,
        encoder_hidden_states: tokens,
        pooled_projections: given(told, "vector"),
        img_ids: gridIds(height / 2, width / 2, axes),
        txt_ids: tf.zeros([tokens.shape[1] as number, axes]),
        ...(c.guidance_embeds && { guidance: given(told, "guidance") }),
      };
    },
    output: unpacked,
    ...transformerBuilt({
      width: c.num_attention_heads * c.attention_head_dim,
      patch: 2,
      first: "x_embedder.kernel",
      blocks: c.num_layers,
      singles: c.num_single_layers,
    }),
  };
}

export const flux: PublishedNetwork<Config> = {
  classes: ["FluxTransformer2DModel"],
  config,
  told: (c) => {
    const width = c.num_attention_heads * c.attention_head_dim;
    return {
      "x_embedder.kernel": [c.in_channels, width],
      "context_embedder.kernel": [c.joint_attention_dim, width],
      "time_text_embed.text_embedder.linear_1.kernel": [c.pooled_projection_dim, width],
      "proj_out.kernel": [width, c.patch_size ** 2 * (c.out_channels ?? c.in_channels)],
    };
  },
  forward: (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) }),
  denoiser,
};

/**
 * The class-conditional diffusion transformer (Peebles & Xie 2023) as diffusers publishes it, DiTTransformer2DModel: every block
 * embeds time and class by itself, and the output's second half is a variance.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { linear, type Parameters, silu, unpatchify } from "../layers.ts";
import { crossAttention, given, lookup, paddedConv, timeEmbedding, timeFeatures } from "../published/layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { gridPositions } from "../published/positions.ts";
import { feedForward, modulated, modulation } from "./diffusers-transformer.ts";
import { transformerBuilt } from "./diffusers-denoisers.ts";
import { type Hooks, passing } from "./family.ts";

const size = z.int().positive();

const config = z.strictObject({
  activation_fn: z.enum(["gelu", "gelu-approximate"]).default("gelu-approximate"),
  attention_bias: z.literal(true).default(true),
  attention_head_dim: size.default(72),
  dropout: z.number().default(0), // of training
  in_channels: size.default(4),
  norm_elementwise_affine: z.literal(false).default(false),
  norm_eps: z.number().default(1e-5),
  norm_num_groups: z.unknown().optional(), // of another class's
  norm_type: z.literal("ada_norm_zero").default("ada_norm_zero"),
  num_attention_heads: size.default(16),
  num_embeds_ada_norm: size.default(1000), // classes; one more row stands for none
  num_layers: size.default(28),
  out_channels: size.optional(),
  patch_size: size.default(2),
  sample_size: size.default(32),
  upcast_attention: z.boolean().default(false), // float32 all the same
});
type Config = z.infer<typeof config>;

/** Time and class as a vector [b, width], by the embedding of one block. */
function embedded(parameters: Parameters, name: string, { timestep, classes }: { timestep: Tensor; classes: Tensor }): Tensor {
  const features = timeFeatures(timestep, { width: 256, cosinesFirst: true, shift: 1 });
  const time = timeEmbedding(parameters, `${name}.timestep_embedder`, features);
  return silu(tf.add(time, lookup(parameters, `${name}.class_embedder.embedding_table`, classes)));
}

function block(c: Config, parameters: Parameters, name: string, x: Tensor, at: { timestep: Tensor; classes: Tensor }): Tensor {
  const vector = embedded(parameters, `${name}.norm1.emb`, at);
  const parts = modulation(parameters, `${name}.norm1.linear`, vector, 6) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const [shift1, scale1, gate1, shift2, scale2, gate2] = parts;
  const attended = crossAttention(parameters, `${name}.attn1`, modulated(x, shift1, scale1), { heads: c.num_attention_heads });
  const middle = tf.add(x, tf.mul(gate1, attended)) as Tensor;
  const fed = feedForward(parameters, `${name}.ff`, modulated(middle, shift2, scale2, c.norm_eps), c.activation_fn);
  return tf.add(middle, tf.mul(gate2, fed));
}

/**
 * hidden_states [b, h, w, c], timestep [b], class_labels [b] -> [b, h, w, out channels]. Places, whose features are tokens
 * [b, n, width]: "patches", "transformer_blocks.0" and so on.
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const at = { timestep: given(inputs, "timestep"), classes: given(inputs, "class_labels") };
  const { patch_size: patch, num_attention_heads: heads, attention_head_dim: breadth } = c;
  const patches = paddedConv(parameters, "pos_embed.proj", given(inputs, "hidden_states"), { padding: [0, 0, 0, 0], stride: patch });
  const [, rows, columns] = patches.shape as [number, number, number, number];
  const channels = heads * breadth;
  const base = Math.floor(c.sample_size / patch); // a larger picture has a finer grid over the same extent
  const places = gridPositions({ height: rows, width: columns, channels, scale: [rows / base, columns / base] });
  const positions = tf.tensor3d(places, [1, rows * columns, channels]);
  let x = passing(hooks, "patches", tf.add(tf.reshape(patches, [-1, rows * columns, channels]), positions));
  for (let i = 0; i < c.num_layers; i++) {
    x = passing(hooks, placeOf(i), block(c, parameters, placeOf(i), x, at));
    if (hooks.last === placeOf(i)) return x;
  }
  const vector = embedded(parameters, "transformer_blocks.0.norm1.emb", at);
  const [shift, scale] = modulation(parameters, "proj_out_1", vector, 2) as [Tensor, Tensor];
  const out = linear(parameters, "proj_out_2", modulated(x, shift, scale));
  return unpatchify(out, { patch, height: rows * patch, width: columns * patch });
}

const placeOf = (block: number): string => `transformer_blocks.${block}`;

export const ditClass: PublishedNetwork<Config> = {
  classes: ["DiTTransformer2DModel"],
  config,
  names: () => ({ tables: /\.embedding_table\.weight$/ }),
  told: ({ patch_size: patch, ...c }) => {
    const width = c.num_attention_heads * c.attention_head_dim;
    return {
      "pos_embed.proj.kernel": [patch, patch, c.in_channels, width],
      "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.table": [c.num_embeds_ada_norm + 1, width],
      "proj_out_2.kernel": [width, patch ** 2 * (c.out_channels ?? c.in_channels)],
    };
  },
  forward: (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) }),
  denoiser: (c) => ({
    shape: [c.sample_size, c.sample_size, c.in_channels],
    sizes: { why: "its positions are those of the one size that it was trained on" },
    conditions: { classes: c.num_embeds_ada_norm },
    inputs: ({ x, noiseLevel, label }) => ({ hidden_states: x, timestep: noiseLevel, class_labels: label as Tensor }),
    ...transformerBuilt({ width: c.num_attention_heads * c.attention_head_dim, patch: c.patch_size, blocks: c.num_layers }),
  }),
};

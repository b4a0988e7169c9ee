/**
 * The class-conditional diffusion transformer (Peebles & Xie 2023) as diffusers publishes it, DiTTransformer2DModel: every block
 * embeds time and class by itself, and the output's second half is a variance.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layerNorm, linear, type Parameters, silu, unpatchify } from "../layers.ts";
import { activations, crossAttention, lookup, paddedConv, timeEmbedding, timeFeatures } from "../published/layers.ts";
import type { PublishedNetwork } from "../published/network.ts";
import { gridPositions } from "../published/positions.ts";

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

/** Shifts, scales and gates [b, 1, width] of a vector, in the order of the layer. */
function modulation(parameters: Parameters, name: string, vector: Tensor, parts: number): Tensor[] {
  return tf.split(tf.expandDims(linear(parameters, name, vector), 1), parts, -1) as Tensor[];
}

const modulated = (x: Tensor, shift: Tensor, scale: Tensor, epsilon: number): Tensor =>
  tf.add(tf.mul(layerNorm(x, epsilon), tf.add(scale, 1)), shift);

function block(c: Config, parameters: Parameters, name: string, x: Tensor, at: { timestep: Tensor; classes: Tensor }): Tensor {
  const vector = embedded(parameters, `${name}.norm1.emb`, at);
  const parts = modulation(parameters, `${name}.norm1.linear`, vector, 6) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
  const [shift1, scale1, gate1, shift2, scale2, gate2] = parts;
  const attended = crossAttention(parameters, `${name}.attn1`, modulated(x, shift1, scale1, 1e-6), { heads: c.num_attention_heads });
  const middle = tf.add(x, tf.mul(gate1, attended)) as Tensor;
  const up = activations[c.activation_fn](linear(parameters, `${name}.ff.net.0.proj`, modulated(middle, shift2, scale2, c.norm_eps)));
  return tf.add(middle, tf.mul(gate2, linear(parameters, `${name}.ff.net.2`, up)));
}

/** hidden_states [b, h, w, c], timestep [b], class_labels [b] -> out [b, h, w, out channels]. */
function forward(c: Config, parameters: Parameters, inputs: Record<string, Tensor>): Record<string, Tensor> {
  const { hidden_states: image, timestep, class_labels: classes } = inputs as Record<string, Tensor>;
  const at = { timestep: timestep as Tensor, classes: classes as Tensor };
  const { patch_size: patch, num_attention_heads: heads, attention_head_dim: breadth } = c;
  const patches = paddedConv(parameters, "pos_embed.proj", image as Tensor, { padding: [0, 0, 0, 0], stride: patch });
  const [, rows, columns] = patches.shape as [number, number, number, number];
  const channels = heads * breadth;
  const base = Math.floor(c.sample_size / patch); // a larger picture has a finer grid over the same extent
  const places = gridPositions({ height: rows, width: columns, channels, scale: [rows / base, columns / base] });
  const positions = tf.tensor3d(places, [1, rows * columns, channels]);
  let x: Tensor = tf.add(tf.reshape(patches, [-1, rows * columns, channels]), positions);
  for (let i = 0; i < c.num_layers; i++) x = block(c, parameters, `transformer_blocks.${i}`, x, at);
  const vector = embedded(parameters, "transformer_blocks.0.norm1.emb", at);
  const [shift, scale] = modulation(parameters, "proj_out_1", vector, 2) as [Tensor, Tensor];
  const out = linear(parameters, "proj_out_2", modulated(x, shift, scale, 1e-6));
  return { out: unpatchify(out, { patch, height: rows * patch, width: columns * patch }) };
}

export const ditClass: PublishedNetwork<Config> = {
  classes: ["DiTTransformer2DModel"],
  config,
  names: () => ({ tables: /\.embedding_table\.weight$/ }),
  forward,
};

/**
 * CLIP's text encoder (Radford et al. 2021) as transformers publishes it, CLIPTextModel and CLIPTextModelWithProjection: a causal
 * transformer with norms before its layers, pooled at the token that ends the text.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Hooks, passing } from "../families/family.ts";
import { attention, linear, type Parameters, parameter } from "../layers.ts";
import { activations, affineNorm, hidingBias, lookup } from "../published/layers.ts";
import { type PublishedNetwork, unread } from "../published/network.ts";
import { transformersKeys } from "./transformers-config.ts";

const size = z.int().positive();

const config = z.strictObject({
  ...transformersKeys,
  attention_dropout: unread, // of training
  dropout: unread, // of training
  eos_token_id: z.int().nonnegative().default(49407),
  hidden_act: z.enum(["gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu"]).default("quick_gelu"),
  hidden_size: size.default(512),
  intermediate_size: size.default(2048),
  layer_norm_eps: z.number().default(1e-5),
  max_position_embeddings: size.default(77),
  num_attention_heads: size.default(8),
  num_hidden_layers: size.default(12),
  projection_dim: size.default(512),
  vocab_size: size.default(49408),
});
type Config = z.infer<typeof config>;

/** eos_token_id of configs older than transformers 4.31, which no tokenizer has: the text ends at its largest id. */
const LARGEST = 2;

function block(c: Config, parameters: Parameters, name: string, x: Tensor, bias: Tensor): Tensor {
  const normed = affineNorm(parameters, `${name}.layer_norm1`, x, c.layer_norm_eps);
  const [q, k, v] = ["q", "k", "v"].map((kind) => linear(parameters, `${name}.self_attn.${kind}_proj`, normed)) as [Tensor, Tensor, Tensor];
  const attended = linear(parameters, `${name}.self_attn.out_proj`, attention({ q, k, v, heads: c.num_attention_heads, bias }));
  const middle = tf.add(x, attended) as Tensor;
  const up = linear(parameters, `${name}.mlp.fc1`, affineNorm(parameters, `${name}.layer_norm2`, middle, c.layer_norm_eps));
  return tf.add(middle, linear(parameters, `${name}.mlp.fc2`, activations[c.hidden_act](up)));
}

/** What hides from each of `length` tokens those after it: [1, 1, length, length]. */
function causalBias(length: number): Tensor {
  const kept = Float32Array.from({ length: length * length }, (_, i) => (i % length <= Math.floor(i / length) ? 1 : 0));
  return hidingBias(tf.tensor4d(kept, [1, 1, length, length]));
}

/** Of each row of states [b, n, d] the one at which its text ends: [b, d]. */
function pooled(c: Config, states: Tensor, ids: Tensor): Tensor {
  const ends = c.eos_token_id === LARGEST ? ids : tf.cast(tf.equal(ids, tf.scalar(c.eos_token_id, "int32")), "int32");
  return tf.gather(states, tf.argMax(ends as Tensor, -1), 1, 1); // the first of several that are as large
}

/**
 * Ids [b, n] -> `states` after the final norm and `penultimate`, what the last block is given, both [b, n, d]. Past hooks go
 * "embeddings" and "encoder.layers.N".
 */
function apply(c: Config, parameters: Parameters, ids: Tensor, hooks: Hooks = {}): { states: Tensor; penultimate: Tensor } {
  const length = ids.shape[1] as number;
  const positions = tf.slice(parameter(parameters, "embeddings.position_embedding.table"), [0, 0], [length, c.hidden_size]);
  const bias = causalBias(length);
  let x = passing(hooks, "embeddings", tf.add(lookup(parameters, "embeddings.token_embedding", ids), positions));
  let penultimate = x;
  for (let i = 0; i < c.num_hidden_layers; i++) {
    penultimate = x;
    const place = `encoder.layers.${i}`;
    x = passing(hooks, place, block(c, parameters, place, x, bias));
    if (hooks.last === place) return { states: x, penultimate };
  }
  return { states: affineNorm(parameters, "final_layer_norm", x, c.layer_norm_eps), penultimate };
}

/** Names without the `text_model.` that transformers 4 writes before all but the projection; stored positions are no parameter. */
function today(name: string): string | undefined {
  const short = name.replace(/^text_model\./, "");
  return short === "embeddings.position_ids" ? undefined : short;
}

/** See PublishedNetwork. */
const told = (c: Config): Record<string, readonly number[]> => ({
  "embeddings.token_embedding.table": [c.vocab_size, c.hidden_size],
  "embeddings.position_embedding.table": [c.max_position_embeddings, c.hidden_size],
  "encoder.layers.0.mlp.fc1.kernel": [c.hidden_size, c.intermediate_size],
  "text_projection.kernel": [c.hidden_size, c.projection_dim],
});

const common = { config, told, spare: /^text_projection\.bias$/, names: () => ({ tables: /_embedding\.weight$/, today }) };

/** input_ids [b, n] -> last_hidden_state and penultimate (hidden_states[-2]) [b, n, d], pooler_output [b, d]. */
export const clipText: PublishedNetwork<Config> = {
  ...common,
  classes: ["CLIPTextModel"],
  forward: (c, parameters, inputs) => {
    const ids = inputs.input_ids as Tensor;
    const { states, penultimate } = apply(c, parameters, ids);
    return { last_hidden_state: states, penultimate, pooler_output: pooled(c, states, ids) };
  },
};

/** The same with text_embeds [b, projection_dim], the pooled vector projected, for pooler_output. */
export const clipTextWithProjection: PublishedNetwork<Config> = {
  ...common,
  classes: ["CLIPTextModelWithProjection"],
  forward: (c, parameters, inputs) => {
    const ids = inputs.input_ids as Tensor;
    const { states, penultimate } = apply(c, parameters, ids);
    return { last_hidden_state: states, penultimate, text_embeds: linear(parameters, "text_projection", pooled(c, states, ids)) };
  },
};

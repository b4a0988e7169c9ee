/**
 * T5's encoder (Raffel et al. 2020) as transformers publishes it, T5EncoderModel: positions enter as biases of the scores alone, which
 * are not scaled, and norms neither centre nor shift.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Hooks, passing } from "../families/family.ts";
import { linear, type Parameters } from "../layers.ts";
import { activations, hidingBias, lookup, rmsNorm } from "../published/layers.ts";
import { type PublishedNetwork, unread } from "../published/network.ts";
import { transformersKeys } from "./transformers-config.ts";

const size = z.int().positive();

/** The feed-forward layers that `feed_forward_proj` names. */
const feedForwards = {
  relu: { activation: "relu", isGated: false },
  "gated-gelu": { activation: "gelu_new", isGated: true },
  "gated-silu": { activation: "silu", isGated: true },
} as const;

const config = z
  .strictObject({
    ...transformersKeys,
    classifier_dropout: unread, // of another class
    d_ff: size.default(2048),
    d_kv: size.default(64),
    d_model: size.default(512),
    dense_act_fn: z.string().optional(), // follows from feed_forward_proj
    dropout_rate: unread, // of training
    eos_token_id: unread, // no token is looked for
    feed_forward_proj: z.enum(["relu", "gated-gelu", "gated-silu"]).default("relu"),
    is_gated_act: z.boolean().optional(), // follows from feed_forward_proj
    layer_norm_epsilon: z.number().default(1e-6),
    n_positions: unread, // any length will do
    num_decoder_layers: unread,
    num_heads: size.default(8),
    num_layers: size.default(6),
    output_past: unread, // of decoders
    relative_attention_max_distance: size.default(128),
    relative_attention_num_buckets: z.int().min(4).multipleOf(4).default(32),
    scale_decoder_outputs: unread,
    vocab_size: size.default(32128),
  })
  .superRefine(({ feed_forward_proj, dense_act_fn, is_gated_act }, { addIssue }) => {
    const { activation, isGated } = feedForwards[feed_forward_proj];
    const differs = (key: string): void =>
      addIssue({ code: "custom", path: [key], message: `feed_forward_proj is "${feed_forward_proj}"` });
    if ((dense_act_fn ?? activation) !== activation) differs("dense_act_fn");
    if ((is_gated_act ?? isGated) !== isGated) differs("is_gated_act");
  });
type Config = z.infer<typeof config>;

/**
 * The bucket of a key `distance` places after its query: half of the buckets are for keys after it, half of each half for one distance
 * a bucket, and the rest widen by a constant factor up to the largest distance. Rounded to float32 at each step, as the networks were
 * trained with: some distances lie on a border.
 */
function bucket(distance: number, { buckets, largest }: { buckets: number; largest: number }): number {
  const half = buckets / 2;
  const exact = half / 2;
  const apart = Math.abs(distance);
  const share = Math.fround(Math.fround(Math.log(apart / exact)) / Math.fround(Math.log(largest / exact)));
  const within = apart < exact ? apart : Math.min(half - 1, exact + Math.floor(Math.fround(share * (half - exact))));
  return within + (distance > 0 ? half : 0);
}

/** What positions add to the scores of n tokens, the same in every block: [1, heads, n, n]. Block 0 owns the table. */
function positionBias(c: Config, parameters: Parameters, n: number): Tensor {
  const options = { buckets: c.relative_attention_num_buckets, largest: c.relative_attention_max_distance };
  const buckets = Int32Array.from({ length: n * n }, (_, i) => bucket((i % n) - Math.floor(i / n), options));
  const biases = lookup(parameters, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias", tf.tensor2d(buckets, [n, n], "int32"));
  return tf.expandDims(tf.transpose(biases, [2, 0, 1]), 0);
}

/** Attention of x [b, n, d] through `name.q`, `k`, `v` and `o`, of an inner width of its own; scores are not scaled. */
function selfAttention(c: Config, parameters: Parameters, name: string, x: Tensor, bias: Tensor): Tensor {
  const [b, n] = x.shape as [number, number, number];
  const asked = (kind: string): Tensor =>
    tf.transpose(tf.reshape(linear(parameters, `${name}.${kind}`, x), [b, n, c.num_heads, c.d_kv]), [0, 2, 1, 3]);
  const weights = tf.softmax(tf.add<Tensor>(tf.matMul(asked("q"), asked("k"), false, true), bias));
  const values = tf.transpose(tf.matMul(weights, asked("v")), [0, 2, 1, 3]);
  return linear(parameters, `${name}.o`, tf.reshape(values, [b, n, c.num_heads * c.d_kv]));
}

function feedForward(c: Config, parameters: Parameters, name: string, x: Tensor): Tensor {
  const { activation, isGated } = feedForwards[c.feed_forward_proj];
  const act = activations[activation];
  const up = isGated
    ? tf.mul<Tensor>(act(linear(parameters, `${name}.wi_0`, x)), linear(parameters, `${name}.wi_1`, x))
    : act(linear(parameters, `${name}.wi`, x));
  return linear(parameters, `${name}.wo`, up);
}

function block(c: Config, parameters: Parameters, name: string, x: Tensor, bias: Tensor): Tensor {
  const normed = (layer: string, y: Tensor): Tensor => rmsNorm(parameters, `${layer}.layer_norm`, y, c.layer_norm_epsilon);
  const [first, second] = [`${name}.layer.0`, `${name}.layer.1`];
  const middle = tf.add<Tensor>(x, selfAttention(c, parameters, `${first}.SelfAttention`, normed(first, x), bias));
  return tf.add(middle, feedForward(c, parameters, `${second}.DenseReluDense`, normed(second, middle)));
}

/**
 * input_ids [b, n] and, where padding is to be hidden, attention_mask [b, n] of ones and zeros -> states [b, n, d]. Past hooks go
 * "embeddings" and "encoder.block.N".
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const { input_ids: ids, attention_mask: mask } = inputs as { input_ids: Tensor; attention_mask?: Tensor };
  const length = ids.shape[1] as number;
  const positions = positionBias(c, parameters, length);
  const bias = mask ? tf.add<Tensor>(positions, hidingBias(tf.reshape(mask, [-1, 1, 1, length]))) : positions;
  let x = passing(hooks, "embeddings", lookup(parameters, "shared", ids));
  for (let i = 0; i < c.num_layers; i++) {
    const place = `encoder.block.${i}`;
    x = passing(hooks, place, block(c, parameters, place, x, bias));
    if (hooks.last === place) return x;
  }
  return rmsNorm(parameters, "encoder.final_layer_norm", x, c.layer_norm_epsilon);
}

/** What whole T5 files hold of the decoder is no parameter of the encoder. */
const noParameter = /^(decoder\.|lm_head\.)/;

export const t5Encoder: PublishedNetwork<Config> = {
  classes: ["T5EncoderModel"],
  config,
  names: () => ({
    tables: /^shared\.weight$|\.relative_attention_bias\.weight$/,
    today: (name) => (noParameter.test(name) ? undefined : name),
    copies: { "encoder.embed_tokens.weight": "shared.weight" },
  }),
  spare: /\.bias$/,
  told: (c) => ({
    "shared.table": [c.vocab_size, c.d_model],
    "encoder.block.0.layer.0.SelfAttention.q.kernel": [c.d_model, c.num_heads * c.d_kv],
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.table": [c.relative_attention_num_buckets, c.num_heads],
    "encoder.block.0.layer.1.DenseReluDense.wo.kernel": [c.d_ff, c.d_model],
  }),
  forward: (c, parameters, inputs) => ({ last_hidden_state: apply(c, parameters, inputs) }),
};

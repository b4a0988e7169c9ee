/** T5's encoder against the golden vectors, and the configs that published folders hold. */
import { publishedNetwork } from "../../models/published/registry.ts";
import { fromTorch } from "../../models/published/torch.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published t5");
holdToGolden(test, [
  ["pixart", "text_encoder", 1],
  ["sd3", "text_encoder_3", 1],
  ["flux", "text_encoder_2", 1],
]);

/** FLUX.1's text_encoder_2/config.json. */
const published = {
  _name_or_path: "google/t5-v1_1-xxl",
  architectures: ["T5EncoderModel"],
  classifier_dropout: 0.0,
  d_ff: 10240,
  d_kv: 64,
  d_model: 4096,
  decoder_start_token_id: 0,
  dense_act_fn: "gelu_new",
  dropout_rate: 0.1,
  eos_token_id: 1,
  feed_forward_proj: "gated-gelu",
  initializer_factor: 1.0,
  is_encoder_decoder: true,
  is_gated_act: true,
  layer_norm_epsilon: 1e-6,
  model_type: "t5",
  num_decoder_layers: 24,
  num_heads: 64,
  num_layers: 24,
  output_past: true,
  pad_token_id: 0,
  relative_attention_max_distance: 128,
  relative_attention_num_buckets: 32,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.43.3",
  use_cache: true,
  vocab_size: 32128,
};

test("published configs are understood, contradictions and other networks are not", () => {
  const read = (keys: object) => publishedNetwork({ json: { ...published, ...keys }, file: "config.json" });
  read({});
  read({ feed_forward_proj: "relu", dense_act_fn: "relu", is_gated_act: false, n_positions: 512 });
  assert.throws(() => read({ dense_act_fn: "relu" }), /dense_act_fn: "relu" is not understood \(feed_forward_proj is "gated-gelu"\)/);
  assert.throws(() => read({ is_gated_act: false }), /is_gated_act/);
  assert.throws(() => read({ feed_forward_proj: "gated-mish" }), /feed_forward_proj/);
  assert.throws(() => read({ is_decoder: true }), /is_decoder/);
});

test("the second name of the table of tokens and the decoder are no parameters", () => {
  const { names } = publishedNetwork({ json: published, file: "config.json" });
  const tensor = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const stored = ["shared.weight", "encoder.embed_tokens.weight", "decoder.block.0.layer.0.SelfAttention.q.weight", "lm_head.weight"];
  const own = fromTorch(Object.fromEntries(stored.map((name) => [name, tensor])), names);
  assert.equal(own, { "shared.table": tensor });
  assert.equal(fromTorch({ "encoder.embed_tokens.weight": tensor }, names), { "shared.table": tensor }, "it may have that name alone");
});

test.run();

/** CLIP's text encoders against the golden vectors, and the configs that published folders hold. */
import { publishedNetwork } from "../../models/published/registry.ts";
import { fromTorch } from "../../models/published/torch.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published clip");
holdToGolden(test, [
  ["sd15", "text_encoder", 3],
  ["sd21v", "text_encoder", 3],
  ["sdxl", "text_encoder", 6],
  ["sd3", "text_encoder", 7], // T5's among them
  ["flux", "text_encoder", 4],
]);

/** Stable Diffusion 2.1's text_encoder/config.json. */
const published = {
  _name_or_path: "hf-models/stable-diffusion-v2-768x768/text_encoder",
  architectures: ["CLIPTextModel"],
  attention_dropout: 0.0,
  bos_token_id: 0,
  dropout: 0.0,
  eos_token_id: 2,
  hidden_act: "gelu",
  hidden_size: 1024,
  initializer_factor: 1.0,
  initializer_range: 0.02,
  intermediate_size: 4096,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 77,
  model_type: "clip_text_model",
  num_attention_heads: 16,
  num_hidden_layers: 23,
  pad_token_id: 1,
  projection_dim: 512,
  torch_dtype: "float32",
  transformers_version: "4.25.0.dev0",
  vocab_size: 49408,
};

test("configs of transformers 4 and 5 are understood, what changes the network is not", () => {
  const read = (keys: object) => publishedNetwork({ json: { ...published, ...keys }, file: "config.json" });
  read({});
  read({ torch_dtype: undefined, dtype: "float16", return_dict: true, top_k: 50, pruned_heads: {}, is_decoder: false });
  assert.throws(() => read({ hidden_act: "mish" }), /config\.json: hidden_act: "mish" is not understood/);
  assert.throws(() => read({ pruned_heads: { 0: [1] } }), /pruned_heads/);
  assert.throws(() => read({ eos_token_id: [2, 3] }), /eos_token_id/);
  assert.throws(() => read({ quantization_config: {} }), /quantization_config: \{\} is not understood \(no network here knows this key\)/);
});

test("parameters are the same with text_model. and without, and stored positions are none", () => {
  const { names } = publishedNetwork({ json: published, file: "config.json" });
  const tensor = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const own = fromTorch(
    {
      "text_model.embeddings.position_ids": tensor,
      "text_model.embeddings.token_embedding.weight": tensor,
      "encoder.layers.0.mlp.fc1.weight": tensor,
      "text_projection.weight": tensor,
    },
    names,
  );
  assert.equal(Object.keys(own), ["embeddings.token_embedding.table", "encoder.layers.0.mlp.fc1.kernel", "text_projection.kernel"]);
});

test.run();

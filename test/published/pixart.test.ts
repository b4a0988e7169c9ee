/** PixArt against the golden vectors, and configs as they are published. */
import { publishedNetwork } from "../../models/published/registry.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published pixart");
holdToGolden(test, [["pixart", "transformer", 1]]);

const alpha = {
  _class_name: "Transformer2DModel",
  _diffusers_version: "0.22.0.dev0",
  activation_fn: "gelu-approximate",
  attention_bias: true,
  attention_head_dim: 72,
  attention_type: "default",
  caption_channels: 4096,
  cross_attention_dim: 1152,
  double_self_attention: false,
  dropout: 0,
  in_channels: 4,
  norm_elementwise_affine: false,
  norm_eps: 1e-6,
  norm_num_groups: 32,
  norm_type: "ada_norm_single",
  num_attention_heads: 16,
  num_embeds_ada_norm: 1000,
  num_layers: 28,
  num_vector_embeds: null,
  only_cross_attention: false,
  out_channels: 8,
  patch_size: 2,
  sample_size: 128,
  upcast_attention: false,
  use_linear_projection: false,
};
const file = "config.json";

test("configs of alpha and sigma are understood, under the old class name and the new", () => {
  publishedNetwork({ json: alpha, file });
  publishedNetwork({ json: { ...alpha, interpolation_scale: 2, use_additional_conditions: false }, file });
  publishedNetwork({ json: { ...alpha, _class_name: "PixArtTransformer2DModel", sample_size: 64 }, file });
});

test("what else the old class serves is refused by its key and value", () => {
  const json = { ...alpha, norm_type: "ada_norm_zero" };
  assert.throws(() => publishedNetwork({ json, file }), /config\.json: norm_type: "ada_norm_zero" is not understood/);
});

test.run();

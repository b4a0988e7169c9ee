/** Stable Diffusion 3 against the golden vectors, and configs as they are published. */
import { publishedNetwork } from "../../models/published/registry.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published mmdit");
holdToGolden(test, [["sd3", "transformer", 1]]);

const medium = {
  _class_name: "SD3Transformer2DModel",
  _diffusers_version: "0.29.0.dev0",
  attention_head_dim: 64,
  caption_projection_dim: 1536,
  in_channels: 16,
  joint_attention_dim: 4096,
  num_attention_heads: 24,
  num_layers: 24,
  out_channels: 16,
  patch_size: 2,
  pooled_projection_dim: 2048,
  pos_embed_max_size: 192,
  sample_size: 128,
};
const file = "config.json";

test("configs of SD3 medium, SD3.5 large and SD3.5 medium are understood", () => {
  const dual = Array.from({ length: 13 }, (_, i) => i);
  publishedNetwork({ json: medium, file });
  publishedNetwork({
    json: { ...medium, num_layers: 38, num_attention_heads: 38, caption_projection_dim: 2432, qk_norm: "rms_norm" },
    file,
  });
  publishedNetwork({ json: { ...medium, pos_embed_max_size: 384, qk_norm: "rms_norm", dual_attention_layers: dual }, file });
});

test("another norm of queries and keys is refused", () => {
  const json = { ...medium, qk_norm: "layer_norm" };
  assert.throws(() => publishedNetwork({ json, file }), /config\.json: qk_norm: "layer_norm" is not understood/);
});

test.run();

/** FLUX against the golden vectors, and configs as they are published. */
import { publishedNetwork } from "../../models/published/registry.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published flux");
holdToGolden(test, [["flux", "transformer", 1]]);

const dev = {
  _class_name: "FluxTransformer2DModel",
  _diffusers_version: "0.30.0.dev0",
  _name_or_path: "../checkpoints/flux-dev/transformer",
  attention_head_dim: 128,
  guidance_embeds: true,
  in_channels: 64,
  joint_attention_dim: 4096,
  num_attention_heads: 24,
  num_layers: 19,
  num_single_layers: 38,
  patch_size: 1,
  pooled_projection_dim: 768,
};
const file = "config.json";

test("configs of dev, schnell and fill are understood", () => {
  publishedNetwork({ json: dev, file });
  publishedNetwork({ json: { ...dev, guidance_embeds: false }, file });
  publishedNetwork({ json: { ...dev, in_channels: 384, out_channels: 64, axes_dims_rope: [16, 56, 56] }, file });
});

test("axes that do not fill a head are refused", () => {
  const json = { ...dev, axes_dims_rope: [16, 56, 48] };
  assert.throws(() => publishedNetwork({ json, file }), /config\.json: axes_dims_rope: \[16,56,48\] is not understood/);
});

test.run();

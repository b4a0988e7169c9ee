/** U-Nets of diffusers: held to the golden vectors, and the configs that published checkpoints have. */
import { ddpm } from "../../models/families/ddpm.ts";
import { sdUnet } from "../../models/families/sd-unet.ts";
import { readConfig } from "../../models/published/network.ts";
import { assert, suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published unets");
holdToGolden(test, [
  ["ddpm", "unet", 1],
  ["sd15", "unet", 2],
  ["sd21v", "unet", 1],
  ["sdxl", "unet", 1],
]);

const attention = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"];
const up = ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"];
const textTime = { addition_embed_type: "text_time", addition_time_embed_dim: 256, use_linear_projection: true };

/** What sets each apart; all else is the default of its class. */
const conditional = {
  "Stable Diffusion 2.1": {
    attention_head_dim: [5, 10, 20, 20],
    cross_attention_dim: 1024,
    use_linear_projection: true,
    upcast_attention: true,
  },
  "SDXL base": {
    ...textTime,
    attention_head_dim: [5, 10, 20],
    block_out_channels: [320, 640, 1280],
    cross_attention_dim: 2048,
    down_block_types: ["DownBlock2D", ...attention.slice(1)],
    up_block_types: [...up.slice(1), "UpBlock2D"],
    projection_class_embeddings_input_dim: 2816,
    transformer_layers_per_block: [1, 2, 10],
    upcast_attention: null,
  },
  "SDXL refiner": {
    ...textTime,
    attention_head_dim: [6, 12, 24, 24],
    block_out_channels: [384, 768, 1536, 1536],
    cross_attention_dim: 1280,
    down_block_types: ["DownBlock2D", ...attention.slice(1), "DownBlock2D"],
    up_block_types: ["UpBlock2D", ...up.slice(1), "UpBlock2D"],
    projection_class_embeddings_input_dim: 2560,
    transformer_layers_per_block: 4,
  },
  "averaged weights": { decay: 0.9999, inv_gamma: 1, min_decay: 0, optimization_step: 7000, power: 2 / 3, update_after_step: 0 },
  "a latent consistency model": { time_cond_proj_dim: 256, cross_attention_dim: 768 },
  "a student without a middle": { mid_block_type: null, layers_per_block: 1 },
  "a student with fewer layers": {
    transformer_layers_per_block: [1, 1, [1, 2], 1],
    reverse_transformer_layers_per_block: [1, [2, 1, 1], 1, 1],
  },
  "the upscaler": { num_class_embeds: 1000, only_cross_attention: [true, true, true, false], in_channels: 7 },
};
for (const [title, json] of Object.entries(conditional)) {
  test(`the config of ${title} is understood`, () => {
    readConfig(sdUnet.config, { json, file: "config.json" });
  });
}

const pixels = {
  "DDPM on CIFAR-10": {
    attention_head_dim: null,
    block_out_channels: [128, 256, 256, 256],
    downsample_padding: 0,
    flip_sin_to_cos: false,
    freq_shift: 1,
    down_block_types: ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    norm_eps: 1e-6,
    up_block_types: ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
  },
  "DDPM on cats": {
    attention_head_dim: null,
    block_out_channels: [128, 128, 256, 256, 512, 512],
    downsample_padding: 0,
    freq_shift: 1,
    down_block_types: ["DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
  },
  "the consistency model of ImageNet": {
    attention_head_dim: 64,
    attn_norm_num_groups: 32,
    block_out_channels: [192, 384, 576, 768],
    downsample_type: "resnet",
    down_block_types: ["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    layers_per_block: 3,
    num_class_embeds: 1000,
    resnet_time_scale_shift: "scale_shift",
    upsample_type: "resnet",
    up_block_types: ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"],
  },
};
for (const [title, json] of Object.entries(pixels)) {
  test(`the config of ${title} is understood`, () => {
    readConfig(ddpm.config, { json, file: "config.json" });
  });
}

test("what is not computed here is refused by key and value", () => {
  const conditionalOf = (json: object) => () => readConfig(sdUnet.config, { json, file: "unet/config.json" });
  assert.throws(conditionalOf({ num_attention_heads: 8 }), /Cannot use unet\/config\.json: num_attention_heads: 8 is not understood/);
  assert.throws(
    conditionalOf({ attention_head_dim: [5, 10] }),
    /attention_head_dim: \[5,10\] is not understood \(expected one for each of 4/,
  );
  assert.throws(conditionalOf({ addition_embed_type: "text_time" }), /addition_time_embed_dim: .* is not understood/);
  assert.throws(conditionalOf({ down_block_types: ["KDownBlock2D"] }), /down_block_types\.0: "KDownBlock2D" is not understood/);
  const pixelsOf = (json: object) => () => readConfig(ddpm.config, { json, file: "unet/config.json" });
  assert.throws(pixelsOf({ time_embedding_type: "fourier" }), /time_embedding_type: "fourier" is not understood/);
  assert.throws(pixelsOf({ block_out_channels: [32, 64] }), /down_block_types: .* is not understood/);
});

test("attention's layers by their names before 0.14", () => {
  const { today } = ddpm.names?.(ddpm.config.parse({})) ?? {};
  assert.is(today?.("mid_block.attentions.0.query.weight"), "mid_block.attentions.0.to_q.weight");
  assert.is(today?.("up_blocks.1.attentions.2.proj_attn.bias"), "up_blocks.1.attentions.2.to_out.0.bias");
  assert.is(today?.("down_blocks.1.attentions.0.group_norm.weight"), "down_blocks.1.attentions.0.group_norm.weight");
});

test.run();

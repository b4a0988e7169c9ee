/** LoRA files of others: the U-Net with each of them agrees with the published library, and every spelling means the same. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { type LoraBase, loraFactors } from "../../models/published/lora-files.ts";
import { ddpm } from "../../models/families/ddpm.ts";
import { sgmNames } from "../../models/published/sgm-names.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { forwardOf } from "../../stages/published/forward.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { addLoraFiles } from "../../stages/published/lora.ts";
import { readPart } from "../../stages/published/part.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("published lora-files");
const folder = join(pipelines, "sd15");

if (!existsSync(folder)) test.skip("the U-Net with each file agrees with the published library", `there is no ${folder}`);
else {
  test("the U-Net with each file agrees with the published library", async () => {
    const { golden, tensors } = await readGolden(join(folder, "golden.safetensors"));
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const part = await readPart(join(folder, "unet"));
    const cases = golden.forwards.filter(({ name }) => name.startsWith("lora."));
    assert.is(cases.length, 6);
    for (const { name, inputs, outputs, settings } of cases) {
      const { file, scale } = settings as { file: string; scale: number };
      const path = join(folder, file);
      const factors = loraFactors({ path, ...(await readSafetensors(path)) }, { part: "unet", shapes: part.weights });
      assert.is(Object.keys(factors).length, 134);
      const given = Object.entries(inputs).map(([input, tensor]) => {
        const { shape, data, dtype } = tensors[tensor] as (typeof tensors)[string];
        return [input, { shape, data, isWhole: dtype === "I64" }] as const;
      });
      const loras = [{ path, scale }];
      const weights = await addLoraFiles({ weights: part.weights, part: "unet", names: part.network.names, loras });
      const adapted = { ...part, weights };
      const found = await forwardOf({ engine, part: adapted, folder, call: "", inputs: Object.fromEntries(given) });
      const expected = tensors[outputs.out as string]?.data as Float32Array;
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const apart = expected.map((value, i) => Math.abs(value - (found.outputs.out?.data[i] as number)));
      const difference = apart.reduce((most, value) => Math.max(most, value), 0) / largest;
      assert.ok(difference < 1e-4, `${name}: ${difference}`);
    }
  });
}

const tensor = (...shape: number[]) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((all, side) => all * side, 1) }, (_, i) => i + 1),
});
const [down, up] = [tensor(2, 3), tensor(4, 2)];
const layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0";
const base: LoraBase = { part: "unet", shapes: { [`${layer}.kernel`]: { shape: [3, 4] }, "text.kernel": { shape: [3, 4] } } };
const read = (tensors: Record<string, ReturnType<typeof tensor>>, metadata: Record<string, string> = {}, of: LoraBase = base) =>
  loraFactors({ path: "x.safetensors", tensors, metadata }, of);

const spellings: Record<string, [down: string, up: string]> = {
  peft: [`base_model.model.${layer}.lora_A.weight`, `base_model.model.${layer}.lora_B.weight`],
  diffusers: [`unet.${layer}.lora_A.weight`, `unet.${layer}.lora_B.weight`],
  "diffusers before peft": [`unet.${layer}.lora.down.weight`, `unet.${layer}.lora.up.weight`],
  "attention processors": [
    "mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.down.weight",
    "mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.up.weight",
  ],
  kohya: [`lora_unet_${layer.replaceAll(".", "_")}.lora_down.weight`, `lora_unet_${layer.replaceAll(".", "_")}.lora_up.weight`],
};
for (const [spelling, [first, second]] of Object.entries(spellings)) {
  test(`names of ${spelling} are understood`, () => {
    const factors = read({ [first]: down, [second]: up });
    assert.equal(factors, {
      [`${layer}.kernel`]: {
        down: { shape: [3, 2], data: Float32Array.of(1, 4, 2, 5, 3, 6) },
        up: { shape: [2, 4], data: Float32Array.of(1, 3, 5, 7, 2, 4, 6, 8) },
        factor: 1,
      },
    });
  });
}

test("sgm's names of layers are understood", () => {
  const levels = [0, 1, 2, 3];
  const layers = levels.flatMap((level) => [
    ...[0, 1].map((i) => `down_blocks.${level}.resnets.${i}.conv1`),
    ...(level < 3 ? [0, 1].map((i) => `down_blocks.${level}.attentions.${i}.proj_in`) : []),
    ...(level < 3 ? [`down_blocks.${level}.downsamplers.0.conv`, `up_blocks.${level}.upsamplers.0.conv`] : []),
    ...[0, 1, 2].map((i) => `up_blocks.${level}.resnets.${i}.conv_shortcut`),
    ...(level > 0 ? [0, 1, 2].map((i) => `up_blocks.${level}.attentions.${i}.transformer_blocks.0.attn1.to_q`) : []),
  ]);
  const names = sgmNames(["conv_in", "mid_block.resnets.1.time_emb_proj", "mid_block.attentions.0.proj_out", ...layers, "conv_out"]);
  const expected = {
    conv_in: "input_blocks.0.0",
    "down_blocks.0.resnets.0.conv1": "input_blocks.1.0.in_layers.2",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.3.0.op",
    "down_blocks.1.attentions.0.proj_in": "input_blocks.4.1.proj_in",
    "down_blocks.3.resnets.1.conv1": "input_blocks.11.0.in_layers.2",
    "mid_block.attentions.0.proj_out": "middle_block.1.proj_out",
    "mid_block.resnets.1.time_emb_proj": "middle_block.2.emb_layers.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.2.1.conv",
    "up_blocks.1.upsamplers.0.conv": "output_blocks.5.2.conv",
    "up_blocks.3.resnets.2.conv_shortcut": "output_blocks.11.0.skip_connection",
    "up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_q": "output_blocks.11.1.transformer_blocks.0.attn1.to_q",
    conv_out: "out.2",
  };
  for (const [layer, name] of Object.entries(expected)) assert.is(names.get(layer), name);
  assert.is(new Set(names.values()).size, names.size);
  const file = { "lora_unet_input_blocks_4_1_proj_in.lora_down.weight": down, "lora_unet_input_blocks_4_1_proj_in.lora_up.weight": up };
  const shapes = Object.fromEntries(layers.map((each) => [`${each}.kernel`, { shape: [3, 4] }]));
  assert.equal(Object.keys(read(file, {}, { part: "unet", shapes })), ["down_blocks.1.attentions.0.proj_in.kernel"]);
});

test("kohya's names of FLUX are understood: its layers are several of ours", () => {
  const block = "single_transformer_blocks.3";
  const parts = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"];
  const shapes = Object.fromEntries(parts.map((part, i) => [`${block}.${part}.kernel`, { shape: [3, i < 3 ? 1 : 2] }]));
  const rows = tensor(5, 2);
  const file = (name: string, second = rows) => ({
    [`lora_unet_${name}.lora_down.weight`]: down,
    [`lora_unet_${name}.lora_up.weight`]: second,
    [`lora_unet_${name}.alpha`]: { shape: [], data: Float32Array.of(1) },
  });
  const of: LoraBase = { part: "transformer", shapes };
  const factors = read(file("single_blocks_3_linear1"), {}, of);
  const first = { shape: [3, 2], data: Float32Array.of(1, 4, 2, 5, 3, 6) };
  assert.equal(factors, {
    [`${block}.attn.to_q.kernel`]: { down: first, up: { shape: [2, 1], data: Float32Array.of(1, 2) }, factor: 0.5 },
    [`${block}.attn.to_k.kernel`]: { down: first, up: { shape: [2, 1], data: Float32Array.of(3, 4) }, factor: 0.5 },
    [`${block}.attn.to_v.kernel`]: { down: first, up: { shape: [2, 1], data: Float32Array.of(5, 6) }, factor: 0.5 },
    [`${block}.proj_mlp.kernel`]: { down: first, up: { shape: [2, 2], data: Float32Array.of(7, 9, 8, 10) }, factor: 0.5 },
  });
  assert.throws(() => read(file("single_blocks_3_linear1", tensor(6, 2)), {}, of), /factors of "single_blocks_3_linear1" do not fit/);
  assert.throws(() => read(file("double_blocks_0_img_attn_qkv"), {}, of), /"double_blocks_0_img_attn_qkv", which the transformer lacks/);
});

test("alpha is a layer's own, by a pattern, the adaptor's, or the rank", () => {
  const [first, second] = spellings.diffusers as [string, string];
  const factorOf = (more: Record<string, unknown>, alpha?: number): number | undefined =>
    read(
      { [first]: down, [second]: up, ...(alpha && { [`unet.${layer}.alpha`]: { shape: [], data: Float32Array.of(alpha) } }) },
      { lora_adapter_metadata: JSON.stringify(more) },
    )[`${layer}.kernel`]?.factor;
  assert.is(factorOf({}), 1);
  assert.is(factorOf({ "unet.lora_alpha": 8 }), 4);
  assert.is(factorOf({ "unet.lora_alpha": 8, "unet.use_rslora": true }), 8 / Math.SQRT2);
  assert.is(factorOf({ "unet.lora_alpha": 8, "unet.alpha_pattern": { "to_out.0": 6 } }), 3);
  assert.is(factorOf({ "unet.lora_alpha": 8 }, 1), 0.5);
  assert.is(factorOf({ "text_encoder.lora_alpha": 8 }), 1);
});

test("old attention names and other parts go where they belong", () => {
  const names = ddpm.names?.(ddpm.config.parse({})) ?? {};
  const old = { part: "unet", names, shapes: { "mid_block.attentions.0.to_q.kernel": { shape: [3, 4] } } } as const;
  const query = { "unet.mid_block.attentions.0.query.lora_A.weight": down, "unet.mid_block.attentions.0.query.lora_B.weight": up };
  assert.equal(Object.keys(read(query, {}, old)), ["mid_block.attentions.0.to_q.kernel"]);
  assert.equal(read({ "text_encoder.text.lora_A.weight": down, "lora_te_text.lora_up.weight": up }), {});
});

test("what is no plain LoRA of this network is refused", () => {
  const [first, second] = spellings.diffusers as [string, string];
  assert.throws(() => read({ [`unet.${layer}.lora_magnitude_vector`]: tensor(4) }), /is no factor of a plain LoRA/);
  assert.throws(() => read({ "unet.other.lora_A.weight": down }), /it changes "other", which the unet lacks/);
  assert.throws(() => read({ [first]: down }), /do not fit \[3, 4\]/);
  assert.throws(() => read({ [first]: down, [second]: tensor(5, 2) }), /do not fit \[3, 4\]/);
  assert.throws(() => read({ [first]: down, [second]: up }, { lora_adapter_metadata: '{"unet.use_dora": true}' }), /no plain LoRA/);
});

test.run();

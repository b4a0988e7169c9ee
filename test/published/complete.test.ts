/** Folders whose weights are not those of their network: an error names the parameter, before anything is simulated. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Weights } from "../../engine/weights.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { openSingleFile, singlePart } from "../../models/published/single-file.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { isFailure } from "../../schemas/failure.ts";
import { checkDenoiser } from "../../stages/published/complete.ts";
import { planDenoiser, readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { quick } from "./quick.ts";
import { writeSingleFile } from "./single-file.ts";
import { at } from "./students.ts";

const test = suite("weights that are not their network's");

/** A copy of a pipeline in which a part's weights are changed: tensors put in, a tensor taken out. */
async function edited(pipeline: string, part: string, { put = {}, out }: { put?: Weights; out?: string }): Promise<string> {
  const folder = freshFolder();
  cpSync(at(pipeline), folder, { recursive: true, filter: (path) => !/golden|lora|old_names/.test(path) });
  const names = readdirSync(join(folder, part));
  const files = names.filter((name) => name.endsWith(".safetensors"));
  const index = names.find((name) => name.includes(".index."));
  let isOut = out === undefined;
  for (const [i, file] of files.entries()) {
    const path = join(folder, part, file);
    const { [out ?? ""]: taken, ...rest } = (await readSafetensors(path)).tensors;
    isOut ||= taken !== undefined;
    if (i === 0 || taken) writeFileSync(path, encodeSafetensors({ tensors: { ...rest, ...(i === 0 && put) } }));
  }
  assert.ok(isOut, `${pipeline}/${part} has ${out}`);
  if (index === undefined) return folder;
  const path = join(folder, part, index);
  const json = JSON.parse(readFileSync(path, "utf8")) as { weight_map: Record<string, string> };
  for (const name of Object.keys(put)) json.weight_map[name] = files[0] as string;
  if (out !== undefined) delete json.weight_map[out];
  writeFileSync(path, JSON.stringify(json));
  return folder;
}

/** The sentence with which a teacher is refused. */
async function refusal(folder: string): Promise<string> {
  try {
    await planDenoiser(folder);
  } catch (error) {
    if (!isFailure(error)) throw error;
    assert.is(error.exitCode, 1);
    return error.message;
  }
  return "it is taken";
}

const spare = { "extra.weight": { shape: [2, 3], data: new Float32Array(6) } };

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const [pipeline, part, lost, bias] of [
    ["sd15", "unet", "mid_block.attentions.0.proj_in.weight", "conv_in.bias"],
    ["sd21v", "unet", "down_blocks.0.attentions.0.norm.weight", "up_blocks.1.resnets.0.conv1.bias"],
    ["sdxl", "unet", "add_embedding.linear_1.weight", "conv_out.bias"], // its files have a variant
    ["pixart", "transformer", "scale_shift_table", "transformer_blocks.1.attn1.to_q.bias"],
    ["sd3", "transformer", "pos_embed.pos_embed", "transformer_blocks.0.attn.add_k_proj.bias"],
    ["flux", "transformer", "x_embedder.weight", "single_transformer_blocks.0.proj_mlp.bias"], // in shards
    ["ddpm", "unet", "conv_norm_out.weight", "conv_norm_out.bias"],
    ["dit", "transformer", "proj_out_1.weight", "proj_out_2.bias"],
    ["edm", "", "model.map_label.weight", "model.map_layer0.bias"],
    ["sd15", "text_encoder", "text_model.final_layer_norm.weight", "text_model.encoder.layers.0.mlp.fc1.bias"],
    ["pixart", "text_encoder", "shared.weight", undefined], // in shards
    ["sdxl", "text_encoder_2", "text_projection.weight", undefined],
  ] as const) {
    test(`${pipeline}: a parameter too many or too few in ${part || "its file"} is named`, async () => {
      const place = (folder: string): string => `Cannot use ${join(folder, part)}: its weights`;
      const more = await edited(pipeline, part, { put: spare });
      assert.match(await refusal(more), `${place(more)} have the parameter "extra.weight", which the network of its config does not read`);
      for (const out of [lost, bias]) {
        if (out === undefined) continue;
        const less = await edited(pipeline, part, { out });
        assert.match(await refusal(less), `${place(less)} lack the parameter "${out.replace("text_model.", "")}"`);
      }
    });
  }

  test("what is stored and is no parameter does not matter", async () => {
    const ids = { shape: [1, 77], data: Float32Array.from({ length: 77 }, (_, i) => i) };
    assert.is(await refusal(await edited("sdxl", "text_encoder", { put: { "text_model.embeddings.position_ids": ids } })), "it is taken");
    const { tensors } = await readSafetensors(join(at("sd3"), "text_encoder_3", "model.safetensors"));
    const twin = { "encoder.embed_tokens.weight": tensors["shared.weight"]! };
    assert.is(await refusal(await edited("sd3", "text_encoder_3", { put: twin })), "it is taken");
  });

  test("of one file a tensor that nobody knows, and one that is missing", async () => {
    const folder = freshFolder();
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "model.safetensors");
    const tensors = await writeSingleFile("sd1", at("sd15"), path);
    cpSync(join(at("sd15"), "tokenizer"), join(folder, "tokenizer"), { recursive: true });
    writeFileSync(path, encodeSafetensors({ tensors: { ...tensors, "model.diffusion_model.extra.weight": spare["extra.weight"] } }));
    assert.match(await refusal(path), 'nobody knows its tensor "model.diffusion_model.extra.weight"');
    const { "model.diffusion_model.out.2.bias": _, ...fewer } = tensors;
    writeFileSync(path, encodeSafetensors({ tensors: fewer }));
    const unet = JSON.parse(readFileSync(join(at("sd15"), "unet", "config.json"), "utf8")); // tiny widths do not tell their heads
    const { json, file, shapes } = singlePart(await openSingleFile(path, { configs: { unet } }), "unet");
    const network = publishedNetwork({ json, file });
    const { spec } = (await planDenoiser(at("sd15"))).teacher.description;
    const asked = {
      place: file,
      network,
      denoiser: network.denoiser!,
      spec: { ...spec, network: { ...spec.network, published: json as Record<string, unknown> } },
    };
    await assert.rejects(
      checkDenoiser({ ...asked, shapes: await shapes(network.names) }),
      /model\.safetensors \(unet\): its weights lack the parameter "conv_out\.bias"/,
    );
  });

  test("a tensor of another shape is told with its network", async () => {
    const wide = { "conv_in.weight": { shape: [5, 3, 3, 3], data: new Float32Array(135) } };
    assert.match(await refusal(await edited("ddpm", "unet", { put: wide })), /unet: the shapes of its weights do not fit its config \(/);
  });

  test("nothing is simulated by such a teacher, and its weights are not read", async () => {
    const { context } = recordingContext();
    const teacher = await edited("ddpm", "unet", { put: spare });
    const out = join(freshFolder(), "triples");
    await assert.rejects(simulate({ teacher, out, settings: quick("diffusion2gan"), context }), /have the parameter "extra\.weight"/);
    assert.not.ok(existsSync(join(out, "store.json")));
    await assert.rejects(readDenoiser(teacher), /have the parameter "extra\.weight"/);
  });
}

test.run();

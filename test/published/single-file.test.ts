/**
 * Stable Diffusion in one file: the names are those that diffusers finds, what is written is read, parts compute what the published
 * library answered, and what is something else is told.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import { publishedSchedule } from "../../models/diffusion/published-schedule.ts";
import { fromOriginal, type OriginalKind, originalKind, originsOf, placesOf, toOriginal } from "../../models/published/original-names.ts";
import { openSingleFile, singlePart } from "../../models/published/single-file.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { inspect } from "../../pipelines/inspect.ts";
import { describePublished } from "../../stages/published/describe.ts";
import { forwardOf } from "../../stages/published/forward.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { readOpened } from "../../stages/published/part.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { tensorsOf, writeSingleFile } from "./single-file.ts";

const test = suite("published single-file");
const CASES: readonly [kind: OriginalKind, name: string, forwards: number][] = [
  ["sd1", "sd15", 5],
  ["sd2", "sd21v", 4],
  ["sdxl", "sdxl", 5],
];
/** A path in a folder of its own. */
function pathOf(name: string): string {
  const folder = freshFolder();
  mkdirSync(folder, { recursive: true });
  return join(folder, name);
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const fixture: Record<OriginalKind, string[][]> = read(fileURLToPath(new URL("original-names.json", import.meta.url)));

/** Both names without what both end with. */
function pairOf(theirs: string, ours: string): [string, string] {
  const [a, b] = [theirs.split("."), ours.split(".")];
  while (a.length > 1 && b.length > 1 && a.at(-1) === b.at(-1)) {
    a.pop();
    b.pop();
  }
  return [a.join("."), b.join(".")];
}

/** What no weight of the tiny networks tells, as their own configs say it. */
const UNTOLD = ["attention_head_dim", "norm_num_groups", "num_attention_heads", "force_upcast", "sample_size"];
const untoldOf = (config: Record<string, unknown>) => Object.fromEntries(Object.entries(config).filter(([key]) => UNTOLD.includes(key)));

for (const [kind, name, count] of CASES) {
  const folder = join(pipelines, name);
  if (!existsSync(folder)) {
    test.skip(`${kind} is read as diffusers reads it`, `there is no ${folder}`);
    continue;
  }
  const path = pathOf(`${name}.safetensors`);
  const written = writeSingleFile(kind, folder, path);

  test(`${kind}: every tensor has the place that diffusers gives it, there and back`, async () => {
    const file = await written;
    assert.is(originalKind(Object.keys(file), path), kind);
    const origins = originsOf(kind, file, path);
    assert.is(origins.length, Object.keys(file).length);
    const pairs = new Set(
      origins.flatMap(({ name, part, names }) =>
        names.flatMap((ours) => {
          const [theirs, own] = pairOf(name, ours);
          return [JSON.stringify([theirs, part, own])];
        }),
      ),
    );
    assert.equal([...pairs].sort(), fixture[kind].map((pair) => JSON.stringify(pair)).sort());
    const parts: Record<string, Weights> = {};
    for (const origin of origins) {
      const tensors = fromOriginal(origin, file[origin.name]!);
      assert.equal(
        Object.entries(tensors).map(([each, { shape }]) => [each, shape]),
        placesOf(origin, file[origin.name]!.shape),
      );
      parts[origin.part] = { ...parts[origin.part], ...tensors };
    }
    for (const [part, tensors] of Object.entries(await tensorsOf(kind, folder))) {
      const full = (each: string) => (part.startsWith("text") && !each.startsWith("text_") ? `text_model.${each}` : each);
      const expected = Object.fromEntries(Object.entries(tensors).map(([each, tensor]) => [full(each), tensor]));
      assert.equal(Object.keys(parts[part]!).sort(), Object.keys(expected).sort());
      for (const [each, tensor] of Object.entries(expected)) assert.equal(parts[part]![each], tensor);
    }
    assert.equal(toOriginal(kind, parts), file);
  });

  test(`${kind}: configs are the folder's, and the parts compute what the published library answered`, async () => {
    await written;
    const configs = Object.fromEntries(
      Object.keys(await tensorsOf(kind, folder)).map((part) => [part, read(join(folder, part, "config.json"))] as const),
    );
    const untold = Object.fromEntries(Object.entries(configs).map(([part, config]) => [part, untoldOf(config)]));
    const single = await openSingleFile(path, { prediction: kind === "sd2" ? "v_prediction" : "epsilon", configs: untold });
    for (const [part, { config }] of single.parts) {
      for (const [key, value] of Object.entries(configs[part])) {
        if (key in config && key !== "projection_dim") assert.equal(config[key], value, `${part} ${key}`); // nothing reads that
      }
    }
    const { schedule } = single;
    const { prediction_type: predicted } = read(join(folder, "scheduler/scheduler_config.json"));
    assert.is(schedule().prediction_type, predicted);
    publishedSchedule({ json: schedule(), file: path });

    const { golden, tensors } = await readGolden(join(folder, "golden.safetensors"));
    const engine = await createEngine({ device: "cpu", threads: 1 });
    let compared = 0;
    for (const [part] of single.parts) {
      const opened = await readOpened(singlePart(single, part));
      for (const { name, inputs, outputs } of golden.forwards) {
        const [of = "", call = ""] = name.split(".");
        if (of !== part && of !== `${part}_odd`) continue;
        const given = Object.entries(inputs).map(([input, tensor]) => {
          const { shape, data, dtype } = tensors[tensor]!;
          return [input, { shape, data, isWhole: dtype === "I64" }] as const;
        });
        const found = await forwardOf({ engine, part: opened, folder: path, call, inputs: Object.fromEntries(given) });
        for (const [output, tensor] of Object.entries(outputs)) {
          const expected = tensors[tensor]!.data;
          const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const apart = expected.map((value, i) => Math.abs(value - found.outputs[output]!.data[i]!));
          const difference = Math.max(...apart) / largest;
          assert.ok(difference < 1e-4, `${name} ${output}: ${difference}`);
        }
        compared++;
      }
    }
    assert.is(compared, count);
  });
}

const tensor = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((all, side) => all * side, 1)) });

/** A file of SD 1 or 2 with one level and so wide that heads and groups are as published. */
const small = (text: Record<string, ReturnType<typeof tensor>>): Weights => {
  const resnet = "model.diffusion_model.middle_block.0";
  return {
    "model.diffusion_model.input_blocks.0.0.weight": tensor(64, 4, 3, 3),
    "model.diffusion_model.input_blocks.1.0.out_layers.3.weight": tensor(64, 64, 3, 3),
    "model.diffusion_model.input_blocks.1.1.proj_in.weight": tensor(64, 64),
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": tensor(64, 64),
    [`${resnet}.out_layers.3.weight`]: tensor(64, 64, 3, 3),
    "model.diffusion_model.out.2.weight": tensor(4, 64, 3, 3),
    "first_stage_model.encoder.conv_in.weight": tensor(32, 3, 3, 3),
    "first_stage_model.encoder.down.0.block.0.conv2.weight": tensor(32, 32, 3, 3),
    "first_stage_model.encoder.mid.attn_1.q.weight": tensor(32, 32, 1, 1),
    "first_stage_model.decoder.conv_out.weight": tensor(3, 32, 3, 3),
    "first_stage_model.post_quant_conv.weight": tensor(4, 4, 1, 1),
    "first_stage_model.loss.logvar": tensor(),
    "model_ema.diffusion_modelinput_blocks00weight": tensor(64, 4, 3, 3),
    betas: tensor(3),
    ...text,
  };
};
const open = "cond_stage_model.model";
const openText = {
  [`${open}.positional_embedding`]: tensor(77, 64),
  [`${open}.token_embedding.weight`]: tensor(9, 64),
  [`${open}.text_projection`]: tensor(64, 64),
  [`${open}.logit_scale`]: tensor(),
  ...Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`${open}.transformer.resblocks.${i}.mlp.c_fc.weight`, tensor(128, 64)])),
};

function fileOf(tensors: Weights): string {
  const path = pathOf("x.safetensors");
  writeFileSync(path, encodeSafetensors({ tensors }));
  return path;
}

test("SD 2 leaves out the last of 24 layers, and asks what it predicts", async () => {
  const path = fileOf(small(openText));
  const single = await openSingleFile(path);
  const text = single.parts.get("text_encoder")!;
  assert.is(text.config.num_hidden_layers, 23);
  assert.is(text.config.hidden_act, "gelu");
  assert.is(text.origins.length, 25);
  assert.equal(single.parts.get("unet")!.config.attention_head_dim, [1]);
  assert.is(single.parts.get("unet")!.config.use_linear_projection, true);
  assert.throws(single.schedule, /Cannot tell what the U-Net of .*x\.safetensors predicts: no weight shows it/);
  const told = await openSingleFile(path, { prediction: "v_prediction" });
  assert.is(told.schedule().prediction_type, "v_prediction");
  assert.is(told.parts.get("unet")!.config.sample_size, 96);
});

test("inspect tells of the parts of a file", async () => {
  const path = fileOf(small(openText));
  const { context, events } = recordingContext();
  await inspect({ path, settings: {} as never, context });
  const table = events.find((event) => event.type === "table") as { rows: Record<string, string>[] };
  assert.equal(
    table.rows.map(({ part, class: name, understood }) => [part, name, understood]),
    [
      ["scheduler", "DDIMScheduler", "epsilon or v_prediction: weights do not tell, both were published"],
      ["unet", "UNet2DConditionModel", "yes"],
      ["vae", "AutoencoderKL", "yes"],
      ["text_encoder", "CLIPTextModel", "yes"],
    ],
  );
  assert.match(table.rows[2]!.stored!, /F32$/);
  const parity = inspect({ path, parity: "golden.safetensors", settings: {} as never, context });
  await assert.rejects(parity, /Cannot compare .*: golden vectors are of a folder/);
});

test("an element that is not finite is refused with the name that the file has for it", async () => {
  const whole = small(openText);
  const name = Object.keys(whole).find((each) => each.startsWith("first_stage_model")) as string;
  const { shape, data } = whole[name] as Weights[string];
  const path = fileOf({ ...whole, [name]: { shape, data: data.slice().fill(Number.POSITIVE_INFINITY, 0, 1) } });
  const { read } = singlePart(await openSingleFile(path), "vae");
  await assert.rejects(read({}), new RegExp(`Cannot use .*: element 0 of tensor "${name}" is not finite .Infinity.\\. Fetch it again`));
});

test("a file that is something else is told by what it is", async () => {
  const whole = small(openText);
  const without = (pattern: RegExp) => Object.fromEntries(Object.entries(whole).filter(([name]) => !pattern.test(name)));
  const unet = "model.diffusion_model";
  const cases: [Weights, RegExp][] = [
    [{ "lora_unet_x.lora_down.weight": tensor(1, 2) }, /it is a LoRA/],
    [{ [`${unet}.joint_blocks.0.x.weight`]: tensor(1) }, /it is of Stable Diffusion 3/],
    [{ "double_blocks.0.x.weight": tensor(1) }, /it is of FLUX/],
    [{ "control_model.x.weight": tensor(1) }, /it is a ControlNet/],
    [{ "down_blocks.0.resnets.0.conv1.weight": tensor(1) }, /one part alone, in diffusers' layout/],
    [{ ...whole, "conditioner.embedders.0.model.ln_final.weight": tensor(1) }, /SDXL's refiner/],
    [{ ...whole, edm_mean: tensor(1) }, /Playground/],
    [{ ...whole, [`${unet}.label_emb.0.0.weight`]: tensor(1) }, /a picture or a class besides the text/],
    [{ betas: tensor(1) }, /it has no tensor model\.diffusion_model\.input_blocks/],
    [without(/^first_stage_model/), /it lacks the autoencoder/],
    [without(/^cond_stage_model/), /it lacks the text encoder/],
    [{ ...whole, [`${unet}.input_blocks.1.0.time_stack.weight`]: tensor(1) }, /nobody knows its tensor ".*time_stack\.weight"/],
    [{ ...whole, [`${open}.transformer.resblocks.0.attn.in_proj_weight`]: tensor(4, 1) }, /nobody knows its tensor ".*in_proj_w/],
    [
      {
        ...whole,
        ...Object.fromEntries([0, 1].map((i) => [`${unet}.output_blocks.0.1.transformer_blocks.${i}.norm1.weight`, tensor(64)])),
      },
      /up_blocks\.0\.attentions\.0 has 2 transformer blocks instead of 1/,
    ],
    [without(/encoder\.conv_in\.weight$/), /it has nothing for diffusers' "encoder\.conv_in\.weight"/],
  ];
  for (const [tensors, message] of cases) await assert.rejects(openSingleFile(fileOf(tensors)), message);
  for (const ending of ["ckpt", "bin", "pkl", "pt"]) {
    const pickle = pathOf(`x.${ending}`);
    writeFileSync(pickle, "pickle");
    await assert.rejects(describePublished(pickle), /it is a pickle, which .*from_single_file\("x\..*"\)\.save_pretrained/);
  }
});

test.run();

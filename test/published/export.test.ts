/** Students of published networks exported: what is written is read back as it was, to the bit, and what cannot be written is told. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Weights } from "../../engine/weights.ts";
import { weightsIn } from "../../models/published/folder.ts";
import { type OriginalPart, toOriginal } from "../../models/published/original-names.ts";
import { openPart } from "../../models/published/part-files.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { exportPath } from "../../pipelines/export.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readPart } from "../../stages/published/part.ts";
import { readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { tensorsOf as tensorsOfFolder } from "./single-file.ts";
import { at, exported, loraStudentOf, studentOf } from "./students.ts";

const test = suite("published export");

/** Names and shapes of a part's tensors, but positions counted from 0, which nobody reads. */
async function tensorsOf(folder: string): Promise<Record<string, readonly number[]>> {
  const { tensors } = await readSafetensors(await weightsIn(folder));
  return Object.fromEntries(Object.entries(tensors).flatMap(([name, { shape }]) => (name.endsWith("position_ids") ? [] : [[name, shape]])));
}

/** Tiny parts made as wide as one file must be for what no weight of it tells: norms of 32 groups, heads of 64 channels. */
function published(parts: Partial<Record<OriginalPart, Weights>>): Partial<Record<OriginalPart, Weights>> {
  const wider: Record<string, (name: string, channels: number) => number> = {
    unet: (_, channels) => (channels === 24 ? 64 : channels === 4 ? 4 : 2 * channels),
    vae: (name, channels) => (/quant_conv/.test(name) || [3, 4].includes(channels) ? channels : 4 * channels),
    text_encoder: (_, channels) => (channels === 24 ? 64 : channels),
  };
  return Object.fromEntries(
    Object.entries(parts).map(([part, tensors]) => {
      const widened = Object.entries(tensors).flatMap(([name, { shape }], i) => {
        if (name.endsWith("position_ids")) return [];
        const sides = shape.map((side, axis) => {
          if (axis > 1) return side;
          if (/encoder\.conv_out/.test(name) && axis === 0) return side; // means and variances
          return wider[part]!(name, side);
        });
        const length = sides.reduce((a, b) => a * b, 1);
        return [[name, { shape: sides, data: normals({ seed: 2, stream: part, offset: 1_000_000 * i, length }) }] as const];
      });
      return [part, Object.fromEntries(widened)];
    }),
  );
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const pipeline of ["ddpm", "dit", "sd15", "sdxl", "pixart", "sd3", "flux"]) {
    test(`${pipeline}: a folder of diffusers is read as the very student, and holds what its teacher's holds`, async () => {
      const { run, student } = await studentOf(pipeline);
      const out = await exported(run, "diffusers");
      const { description, weights } = await readDenoiser(out);
      assert.is(description.hash, student.description.hash);
      assert.equal(weights, student.weights);
      assert.equal(description.spec.network.published, student.description.spec.network.published);
      assert.equal(await readCodec(out), await readCodec(at(pipeline)));
      const part = existsSync(join(at(pipeline), "unet")) ? "unet" : "transformer";
      assert.equal(await tensorsOf(join(out, part)), await tensorsOf(join(at(pipeline), part)));
      for (const [name, entry] of Object.entries(JSON.parse(readFileSync(join(out, "model_index.json"), "utf8")))) {
        if (Array.isArray(entry) && entry[1] !== null) assert.ok(existsSync(join(out, name)), `${name} is missing`);
      }
      await exportPath({ path: run, format: "diffusers", out, context: recordingContext().context }); // again, into the same
    });
  }

  test("EDM: the network alone is read as the very student; a pipeline of diffusers it cannot be", async () => {
    const { run, student } = await studentOf("edm");
    const out = await exported(run, "safetensors");
    assert.equal(await readDenoiser(out).then(({ weights }) => weights), student.weights);
    assert.equal(await tensorsOf(out), await tensorsOf(at("edm"))); // stored filters among them
    await assert.rejects(exported(run, "diffusers"), /no class of diffusers is its network\. Use --format safetensors/);
  });

  test("a LoRA on the teacher is the very student, in either spelling and from the command line's words", async () => {
    const { run, student } = await loraStudentOf("sd15");
    for (const [format, name] of [
      ["lora", "pytorch_lora_weights.safetensors"],
      ["kohya", "kohya.safetensors"],
    ] as const) {
      const path = join(await exported(run, format), name);
      const { description, weights } = await readDenoiser(at("sd15"), { loras: [{ path, scale: 1 }] });
      assert.equal(weights, student.weights, format);
      assert.is(description.hash, student.description.hash);
      assert.equal(description.source, { path: at("sd15").replace(/\/$/, ""), loras: [{ path, scale: 1 }] });
    }
    const whole = await readDenoiser(await exported(run, "diffusers"));
    assert.is(whole.description.hash, student.description.hash);
    await assert.rejects(readDenoiser(run, { loras: [{ path: "x", scale: 1 }] }), /it is a run, not a published pipeline/);
  });

  for (const pipeline of ["sd15", "sdxl"]) {
    test(`${pipeline}: the network of one file is read as the very student's`, async () => {
      const { run, student } = await studentOf(pipeline);
      const file = join(await exported(run, "single-file"), "model.safetensors");
      const { names } = (await readPart(join(at(pipeline), "unet"))).network;
      assert.equal(await (await openPart(join(file, "unet"))).read(names), student.weights);
    });
  }

  test("Stable Diffusion in one file is a teacher, with a tokenizer beside it; its student is a folder or one file again", async () => {
    const folder = freshFolder();
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "model.safetensors");
    const tensors = toOriginal("sd1", published(await tensorsOfFolder("sd1", at("sd15"))));
    writeFileSync(file, encodeSafetensors({ tensors }));
    await assert.rejects(readDenoiser(file), /one file holds no tokenizer, and there is no folder .*tokenizer/);
    cpSync(join(at("sd15"), "tokenizer"), join(folder, "tokenizer"), { recursive: true });
    const { description, weights } = await readDenoiser(file);
    assert.equal(description.spec.shape, [64, 64, 4]);
    const codec = await readCodec(file);
    const run = freshFolder();
    await writeModel(run, { description: { ...description, role: "student" }, weights });
    await writeCodec(run, codec);
    const whole = await exported(run, "diffusers");
    assert.is((await readDenoiser(whole)).description.hash, description.hash);
    assert.equal((await readCodec(whole)).weights, codec.weights);
    const again = await readSafetensors(join(await exported(run, "single-file"), "model.safetensors"));
    assert.equal(Object.keys(again.tensors).sort(), Object.keys(tensors).sort());
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      assert.equal(again.tensors[name]!.shape, shape, name);
      assert.equal(again.tensors[name]!.data, data, name);
    }
  });

  test("what cannot be exported is told, with what can", async () => {
    const { run, student } = await studentOf("ddpm");
    await assert.rejects(exported(run, "difusers"), /Cannot export a run as "difusers": did you mean "diffusers"/);
    await assert.rejects(exported(run, "single-file"), /Cannot write DDPMPipeline as one file: .* Use --format diffusers/);
    await assert.rejects(exported(run, "safetensors"), /belongs to a pipeline\. Use --format diffusers/);
    await assert.rejects(exported(run, "lora"), /it holds no lora\.safetensors/);
    await assert.rejects(exported(run, "diffusers", { teacher: at("dit") }), /another config than its teacher had/);
    const lost = freshFolder();
    const source = { path: join(lost, "gone") };
    await writeModel(lost, { ...student, description: { ...student.description, source } });
    await writeCodec(lost, await readCodec(run));
    await assert.rejects(exported(lost, "diffusers"), /there is no pipeline at .*gone, where its teacher was, .* --teacher/);
    await exported(lost, "diffusers", { teacher: at("ddpm") });
    const bundled = fileURLToPath(new URL("../../data/teacher", import.meta.url));
    if (existsSync(bundled)) await assert.rejects(exported(bundled, "diffusers"), /no class of other tools is its network/);
  });
}

test.run();

/**
 * LoRA files that change text encoders as well: what prompts become with them agrees with the published library (text-loras, which
 * text_loras.py wrote), and triples, students and exports keep to it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { createEngine } from "../../engine/engine.ts";
import { textShapeOf } from "../../models/families/published.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import { openTokenizer } from "../../models/text/published-tokenizer.ts";
import { exportPath } from "../../pipelines/export.ts";
import { openConditions } from "../../stages/sample/conditions.ts";
import { openTextEncoders } from "../../stages/published/text.ts";
import { readDenoiser, writeCodec, readCodec, writeModel } from "../../stages/runs/model.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { assert, suite } from "../harness.ts";
import { contextOf, freshFolder, settingsOf } from "../simulate/fixture.ts";
import { pipelines } from "./golden.ts";
import { quick } from "./quick.ts";
import { at, exported } from "./students.ts";

const test = suite("LoRAs of text encoders");
const folder = fileURLToPath(new URL("text-loras", import.meta.url));

interface Golden {
  prompt: string;
  cases: { pipeline: string; file: string; scale: number; tokens: number[]; pooled?: number[] }[];
}
const { prompt, cases } = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as Golden;

/** The largest difference over the largest element. */
function apart(found: ArrayLike<number>, expected: readonly number[]): number {
  const largest = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - (found[i] as number)))) / largest;
}

/** Tokens and pooled features of the prompt. */
async function embedded(source: string, loras: { path: string; scale: number }[]) {
  const { description } = await readDenoiser(source, { loras });
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const shape = textShapeOf(description.spec)!;
  const { lengths } = description.spec.network.text!;
  const encoders = await openTextEncoders({ folder: source, lengths, shape, engine, loras: description.textLoras });
  const row = await encoders.embed(prompt);
  await engine.dispose();
  return Object.fromEntries(embeddingParts(shape).map(({ name, from, size }) => [name, row.subarray(from, from + size)]));
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const { pipeline, file, scale, tokens, pooled } of cases) {
    test(`${file} at ${scale}: prompts are embedded as the published library does`, async () => {
      const found = await embedded(at(pipeline), [{ path: join(folder, file), scale }]);
      assert.ok(apart(found.tokens!, tokens) < 1e-4, `tokens: ${apart(found.tokens!, tokens)}`);
      if (pooled) assert.ok(apart(found.pooled!, pooled) < 1e-4, `pooled: ${apart(found.pooled!, pooled)}`);
      assert.ok(apart((await embedded(at(pipeline), [])).tokens!, tokens) > 0.01, "without it they are others");
    });
  }

  test("a run keeps the files, embeds with them, and says so where one is another", async () => {
    const { tokens } = cases[0]!;
    const loras = [{ path: join(folder, "sd15.safetensors"), scale: 1 }];
    const teacher = await readDenoiser(at("sd15"), { loras });
    const plain = await readDenoiser(at("sd15"));
    assert.equal(teacher.description.textLoras, loras);
    assert.is.not(teacher.description.spec.network.text!.hash, plain.description.spec.network.text!.hash);
    const run = freshFolder();
    await writeModel(run, teacher);
    const { description } = await readDenoiser(run);
    const { engine } = quick("tlcm");
    const open = (of: typeof description) => openConditions({ description: of, choice: {}, engine, signal: undefined });
    const asked = { label: Int32Array.of(-1), caption: [prompt] };
    const own = open(description);
    const { size } = embeddingParts(textShapeOf(description.spec)!)[0]!;
    const found = Object.values(await own.inputs(asked)).find((values) => values.length === size);
    assert.ok(apart(found!, tokens) < 1e-4);
    await own.close();
    for (const textLoras of [undefined, [{ ...loras[0]!, scale: 0.5 }]] as const) {
      const { textLoras: _, ...others } = description;
      const other = open({ ...others, ...(textLoras && { textLoras: [...textLoras] }) });
      await assert.rejects(other.inputs(asked), /its text encoders, tokenizers or LoRAs are not those that the model was made with/);
    }
    const gone = open({ ...description, textLoras: [{ path: "/nowhere.safetensors", scale: 1 }] });
    await assert.rejects(gone.inputs(asked), /Cannot read the LoRA \/nowhere\.safetensors: there is no such file/);
  });

  /** A student of a pipeline with a file of the golden cases added, and what they say of its tokens. */
  async function adaptedStudent(pipeline: string): Promise<{ run: string; expected: number[] }> {
    const { file, scale, tokens } = cases.findLast((each) => each.pipeline === pipeline)!;
    const run = freshFolder();
    const teacher = await readDenoiser(at(pipeline), { loras: [{ path: join(folder, file), scale }] });
    await writeModel(run, { ...teacher, description: { ...teacher.description, role: "student" } });
    await writeCodec(run, await readCodec(at(pipeline)));
    return { run, expected: tokens };
  }

  test("an exported folder's own encoders have them", async () => {
    const { run, expected } = await adaptedStudent("sd15");
    const out = await exported(run, "diffusers");
    const { tokens } = await embedded(out, []);
    assert.ok(apart(tokens!, expected) < 1e-4, `${apart(tokens!, expected)}`);

    const layer = "encoder.layers.0.self_attn.q_proj.weight";
    const single = await readSafetensors(join(await exported(run, "single-file"), "model.safetensors"));
    const written = await readSafetensors(join(out, "text_encoder", "model.safetensors"));
    assert.equal(single.tensors[`cond_stage_model.transformer.text_model.${layer}`], written.tensors[layer]);
  });

  test(
    "encoders that leave as ONNX have them",
    async () => {
      const { run, expected } = await adaptedStudent("sd15");
      const out = freshFolder();
      await exportPath({ path: run, format: "onnx", out, settings: settingsOf({ guidance: 1 }), context: contextOf() });
      const session = await InferenceSession.create(join(out, "text.onnx"));
      const { ids } = (await openTokenizer(join(at("sd15"), "tokenizer"))).encode(prompt);
      const { sequence } = await session.run({ tokens: new Tensor("int32", Int32Array.from(ids), [1, ids.length]) });
      assert.ok(apart(sequence!.data as Float32Array, expected) < 1e-4);
    },
    { seconds: 120 },
  );

  test("encoders that the file was not made for are refused by layer", async () => {
    const path = join(folder, "sdxl.safetensors");
    await assert.rejects(
      readDenoiser(at("sd15"), { loras: [{ path, scale: 1 }] }),
      /it changes \d+ layers of the text_encoder_2, and of .*sd15 only unet, text_encoder can/,
    );
    await assert.rejects(readDenoiser(at("ddpm"), { loras: [{ path, scale: 1 }] }), /it changes \d+ layers of the text_encoder, and of /);
    const other = { path: join(folder, "sd15.safetensors"), scale: 1 };
    await assert.rejects(readDenoiser(at("sd3"), { loras: [other] }), /its factors of "[^"]*" do not fit|which the text_encoder lacks/);
  });
}

test.run();

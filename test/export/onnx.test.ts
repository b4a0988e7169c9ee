/** Students as ONNX graphs: what they draw for somebody who has the folder and onnxruntime alone. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { hashWeights } from "../../engine/weights.ts";
import { initDenoiser, withControl } from "../../models/denoiser.ts";
import { createTokenizer } from "../../models/text/tokenizer.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { exportPath } from "../../pipelines/export.ts";
import type { DenoiserDescription, Sampler } from "../../schemas/model.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { type OnestepJson, onestepJson } from "../../schemas/onestep-json.ts";
import { exportOnnx } from "../../stages/export/onnx/export.ts";
import { openCodec, readDenoiser, writeCodec, writeModel, writeStoresTokenizer } from "../../stages/runs/model.ts";
import { openDrawing } from "../../stages/sample/drawing.ts";
import { openGenerator } from "../../stages/sample/generator.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { pipelines } from "../published/golden.ts";
import { studentOf } from "../published/students.ts";
import { CAPTIONS, contextOf, freshFolder, settingsOf, SIZE, STATISTICS, writeRun } from "../simulate/fixture.ts";
import { pythonHas, runPython, withoutPython } from "./python.ts";

const test = suite("export to ONNX");
const settings = settingsOf();
/** Each export starts three threads, which takes its time on a busy machine. */
const LONG = { seconds: 120 };
const shape: [number, number, number] = [SIZE, SIZE, 3];
const length = SIZE * SIZE * 3;

const said = (out: string): OnestepJson => onestepJson.parse(JSON.parse(readFileSync(join(out, "onestep.json"), "utf8")));

/** Exports a run; what Python says of it costs seconds, so one export asks. */
async function exported(
  run: string,
  { half = false, python = "none" }: { half?: boolean; python?: string | undefined } = {},
): Promise<string> {
  const out = freshFolder();
  const own = process.env.ONESTEP_PYTHON;
  process.env.ONESTEP_PYTHON = python;
  await exportPath({ path: run, format: "onnx", out, half, settings, context: contextOf() });
  process.env.ONESTEP_PYTHON = own ?? "";
  return out;
}

/** The two folders that several tests look at, each with its run. */
const folders = { class: { run: "", out: "" }, caption: { run: "", out: "" } };
test.before(async () => {
  for (const condition of ["class", "caption"] as const) {
    const run = await writeRun({ role: "student", condition });
    const out = await exported(run, condition === "caption" ? { half: true } : { python: process.env.ONESTEP_PYTHON ?? "python3" });
    folders[condition] = { run, out };
  }
}, LONG);

/** A student that is sampled so. */
async function studentBy(sampler: Sampler): Promise<string> {
  const run = await writeRun({ role: "student" });
  const { description, weights } = await readDenoiser(run);
  await writeModel(run, { description: { ...description, sampler }, weights });
  return run;
}

/** Runs the lines of a folder's README.md, in JavaScript and where it can in Python, to a picture each. */
function drawsByReadme(out: string): void {
  const readme = readFileSync(join(out, "README.md"), "utf8");
  const lines = (language: string) => new RegExp(`[\`]{3}${language}\\n([^\`]*)[\`]{3}`).exec(readme)?.[1] ?? "";
  const root = fileURLToPath(new URL("../../", import.meta.url));
  symlinkSync(join(root, "node_modules"), join(out, "node_modules"), "dir");
  const script = lines("js").replace(/"onestep\/(.*?)"/g, (_, module) => JSON.stringify(join(root, `${module}.ts`)));
  writeFileSync(join(out, "draw.mjs"), script);
  execFileSync(process.execPath, ["--import", "tsx", "draw.mjs"], { cwd: out });
  const drawn = readFileSync(join(out, "picture.ppm"));
  assert.is(drawn.length, `P6 ${SIZE} ${SIZE} 255\n`.length + length);
  if (!pythonHas("numpy", "onnxruntime")) return;
  const inFolder = `import os, sys; os.chdir(sys.argv[1]); sys.path.insert(0, sys.argv[1])\n`;
  assert.is(runPython(`${inFolder}${lines("python")}\nprint(len(pixels.tobytes()))`, out), length);
}

/** Runs one graph of a folder. */
async function answer(out: string, file: string, given: Record<string, Tensor>): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(join(out, file));
  const answers = await session.run(given);
  await session.release();
  return Object.fromEntries(Object.entries(answers).map(([name, { data }]) => [name, data as Float32Array]));
}

const floats = (data: Float32Array | readonly number[], of: readonly number[]) => new Tensor("float32", Float32Array.from(data), of);
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

/** Pixels of `sample`, of these labels or captions from seed 7. */
async function sampled(run: string, given: { labels?: number[]; captions?: string[] }, count: number): Promise<number[]> {
  const generator = await openGenerator({ path: run, settings, context: contextOf() });
  const pixels: number[] = [];
  for await (const picture of generator.sample({ seed: 7, count, ...given })) pixels.push(...picture.pixels);
  await generator.close();
  return pixels;
}

const noiseOf = (count: number, stream = "samples") => normals({ seed: 7, stream, length: count * length });
const pixelsOf = (image: Float32Array) => image.map((value) => Math.round((value + 1) * 127.5));

test(
  "a one-step student of classes draws what sample draws, in one batch or several",
  async () => {
    const { run, out } = folders.class;
    const json = said(out);
    assert.equal(json.sampler, { kind: "direct" });
    assert.equal(json.condition, { kind: "class", input: "label", names: ["cat", "dog", "owl"] });
    assert.equal(
      json.graphs.generator.inputs.map(({ name, shape }) => [name, ...shape]),
      [
        ["noise", "batch", ...shape],
        ["label", "batch"],
      ],
    );
    for (const { file, bytes, sha256 } of Object.values(json.graphs)) {
      const content = readFileSync(join(out, file));
      assert.equal([content.length, createHash("sha256").update(content).digest("hex")], [bytes, sha256]);
    }
    assert.ok(json.parity.differences.every(({ latent, image }) => latent < 1e-5 && image < 1e-5));
    const labels = [2, 0, 1, 1];
    const { latent } = await answer(out, "generator.onnx", {
      noise: floats(noiseOf(4), [4, ...shape]),
      label: new Tensor("int32", Int32Array.from(labels), [4]),
    });
    const { image } = await answer(out, "decoder.onnx", { latent: floats(latent!, [4, ...shape]) });
    assert.ok(apart(pixelsOf(image!), await sampled(run, { labels }, 4)) <= 1); // rounding may fall to either side
  },
  LONG,
);

test(
  "a student of captions reads them by text.onnx and the tokenizer beside it, in half precision",
  async () => {
    const { run, out } = folders.caption;
    const json = said(out);
    assert.is(json.condition.kind, "caption");
    if (json.condition.kind !== "caption") return;
    const [{ file, input, length: most } = { file: "", input: "", length: 0 }] = json.condition.tokenizers;
    const ids = createTokenizer(JSON.parse(readFileSync(join(out, file), "utf8"))).encode("two owls", most);
    const features = await answer(out, "text.onnx", { [input]: new Tensor("int32", ids, [1, most]) });
    const given = Object.fromEntries(
      json.graphs.text!.outputs.map(({ name, shape }) => [name, floats(features[name]!, [1, ...shape.slice(1)] as number[])]),
    );
    const { latent } = await answer(out, "generator.onnx", { noise: floats(noiseOf(1), [1, ...shape]), ...given });
    const { image } = await answer(out, "decoder.onnx", { latent: floats(latent!, [1, ...shape]) });
    assert.ok(apart(pixelsOf(image!), await sampled(run, { captions: ["two owls"] }, 1)) <= 2);
  },
  LONG,
);

test(
  "a student of several calls is a loop that onestep.json writes out, from a prior and by fresh noise",
  async () => {
    const prior = { mean: [0.1, 0, -0.1], std: [0.5, 0.4, 0.3] };
    const run = await studentBy({ times: [80, 2, 0.3], between: "renoise", guidance: 1, choices: { 2: [80, 1] }, prior });
    const out = await exported(run);
    const json = said(out);
    drawsByReadme(out);
    assert.is(json.sampler.kind, "loop");
    if (json.sampler.kind !== "loop") return;
    assert.equal([json.sampler.calls, Object.keys(json.sampler.loops), json.sampler.prior], [3, ["2", "3"], prior]);
    const { start, stages } = json.sampler.loops[3]!;
    assert.equal([start, ...stages.flatMap(({ sigma, fresh }) => [sigma, fresh])], [80, 80, 2, 2, 0.3, 0.3, 0]);
    // EDM's coefficients (Karras et al. 2022, table 1) at sigma 2 with sigmaData 0.5
    const expected = [0.25 / 4.25, (2 * 0.5) / Math.sqrt(4.25), 1 / Math.sqrt(4.25), Math.log(2) / 4];
    assert.ok(apart(stages[1]!.level, expected) < 1e-12);
  },
  LONG,
);

test(
  "a U-Net without conditions, its weights in files of their own, and a teacher by its solver's steps",
  async () => {
    const network = { ...settingsOf({}, "none").network, kind: "unet" as const, width: 8, multipliers: [1, 2], attentionLevels: [1] };
    const spec: DenoiserDescription["spec"] = {
      shape: [SIZE, SIZE, 3],
      network,
      diffusion: settings.diffusion,
      classes: [],
      vocabulary: 0,
    };
    const weights = initDenoiser(spec, 1);
    const run = freshFolder();
    const description = { role: "teacher" as const, hash: hashWeights(weights), spec, statistics: STATISTICS, captions: [] };
    await writeModel(run, { description, weights });
    await writeCodec(run, await openCodec(settings));
    const out = freshFolder();
    const model = await readDenoiser(run);
    process.env.ONESTEP_PYTHON = "none";
    const json = await exportOnnx({ run, out, model, isHalf: false, settings, context: contextOf(), wholeBytes: 1 });
    assert.equal(
      readdirSync(out).filter((name) => name.endsWith(".data")),
      ["generator.onnx.data"],
    ); // pixels have no decoder to weigh
    assert.ok((json.graphs.generator.data?.bytes ?? 0) > json.graphs.generator.bytes);
    assert.is(json.condition.kind, "none");
    assert.is(json.sampler.kind === "loop" && json.sampler.calls, 5); // Heun's steps of settings.simulate: two calls but the last
  },
  LONG,
);

test(
  "what draws other pictures than here is refused, and leaves no graphs",
  async () => {
    const { description, weights } = await readDenoiser(folders.class.run);
    const [name, { shape: of, data }] = Object.entries(weights).find(([, tensor]) => tensor.data.length >= 1024)!;
    const changed = { ...weights, [name]: { shape: of, data: data.map((value, i) => (i === 0 ? 1e5 : value)) } }; // halves end at 65504
    const run = freshFolder();
    await writeModel(run, { description: { ...description, hash: hashWeights(changed) }, weights: changed });
    await writeCodec(run, await openCodec(settings));
    const out = freshFolder();
    const failure = await exportPath({ path: run, format: "onnx", out, half: true, settings, context: contextOf() }).catch(
      (error: Error) => error.message,
    );
    assert.match(
      String(failure),
      /by onnxruntime-node \S+ the largest difference of its latents .* is \S+, and \S+ is allowed\. Export it with --precision single\.$/,
    );
    assert.equal(existsSync(out) ? readdirSync(out).filter((name) => /onnx|onestep|export/.test(name)) : [], []);
  },
  LONG,
);

test(
  "the lines of README.md draw",
  () => {
    for (const { out } of Object.values(folders)) drawsByReadme(out);
  },
  LONG,
);

test(
  "a decoder by layton takes an image's tokens",
  async () => {
    const { sigmaData } = settings.diffusion;
    const config = { shape, codes: 32, dimension: 4, downsample: 2 as const, width: 16, sigmaData };
    const [run, base, tokenizer] = [freshFolder(), await readDenoiser(folders.class.run), initImageTokenizer(config, 3)];
    const grid: [number, number] = [SIZE / 2, SIZE / 2];
    const control = { height: grid[0], width: grid[1], dimension: 4 };
    const spec = { ...base.description.spec, network: { ...base.description.spec.network, control } };
    const weights = perturbed(withControl(spec, base.weights, 2));
    await writeModel(run, { description: { ...base.description, spec, hash: hashWeights(weights) }, weights });
    await writeCodec(run, await openCodec(settings));
    const hash = hashWeights(tokenizer);
    await writeStoresTokenizer(run, { description: { role: "tokenizer", hash, config, statistics: STATISTICS }, weights: tokenizer });
    const out = await exported(run);
    assert.equal(said(out).condition, { kind: "tokens", input: "tokens", grid, codes: 32, tokenizer: hash });

    const tokens = Int32Array.from({ length: grid[0] * grid[1] }, (_, i) => (5 * i) % 32);
    const given = { noise: floats(noiseOf(1), [1, ...shape]), tokens: new Tensor("int32", tokens, [1, tokens.length]) };
    const { latent } = await answer(out, "generator.onnx", given);
    // The code of a token is its row of the codebook, of length 1.
    const codes = [...tokens].flatMap((token) => {
      const row = tokenizer.codes!.data.slice(4 * token, 4 * token + 4);
      return Array.from(row, (value) => value / Math.hypot(...row));
    });
    const drawing = await openDrawing({ path: run, model: await readDenoiser(run), settings, context: contextOf(), batch: 1 });
    const bag = { label: Int32Array.of(-1), codes: Float32Array.from(codes), keep: Float32Array.of(0) };
    const expected = await drawing.latents({ seed: 7, count: 1 }, bag);
    await drawing.close();
    assert.ok(apart(latent!, expected) < 1e-4);
    drawsByReadme(out);
    const page = exportPath({ path: run, format: "web", out: freshFolder(), settings, context: contextOf() });
    await assert.rejects(page, /draws from an image's tokens, which nobody types/);
  },
  LONG,
);

/** Exports a student of a published pipeline in small. */
async function exportedOf(pipeline: string, size?: number): Promise<string> {
  const { run } = await studentOf(pipeline, undefined, size);
  const out = freshFolder();
  process.env.ONESTEP_PYTHON = "none";
  await exportPath({ path: run, format: "onnx", out, settings: settingsOf({ guidance: 1 }), context: contextOf() });
  return out;
}

/** A student of Stable Diffusion XL in small, with two encoders of texts and pooled features. */
const published = "a published student is exported with its text encoders and their tokenizers";
if (existsSync(pipelines)) {
  test(
    published,
    async () => {
      const out = await exportedOf("sdxl");
      const { condition, parity, graphs } = said(out);
      assert.ok(parity.differences.every(({ image }) => image < 1e-4));
      assert.equal(
        graphs.text?.inputs.map(({ name, shape, dtype }) => [name, ...shape, dtype]),
        [
          ["tokens", "batch", 77, "int32"],
          ["tokens_2", "batch", 77, "int32"],
        ],
      );
      if (condition.kind !== "caption") throw new Error("it reads captions");
      const golden = JSON.parse(readFileSync(join(pipelines, "sdxl", "golden.json"), "utf8"));
      for (const { file, length, end, padding } of condition.tokenizers) {
        const told = golden.tokenizers[file.replace(".json", "")];
        const tokenizer = new Tokenizer(JSON.parse(readFileSync(join(out, file), "utf8")), {});
        for (const [name, expected] of Object.entries<number[]>(told.ids)) {
          const { ids } = tokenizer.encode((told.text ?? golden.prompts)[name]);
          const kept = ids.length > length ? [...ids.slice(0, length - 1), end] : ids;
          assert.equal([...kept, ...new Array<number>(length - kept.length).fill(padding)], expected);
        }
      }
    },
    LONG,
  );
} else test.skip(published, `${pipelines} is not there`);

for (const family of ["flux", "pixart"]) {
  const name = `a student of ${family} is exported with its text encoders`;
  if (!existsSync(pipelines)) {
    test.skip(name, `${pipelines} is not there`);
    continue;
  }
  test(
    name,
    async () => {
      const { condition, parity, graphs } = said(await exportedOf(family, 128));
      assert.equal([condition.kind, graphs.decoder.outputs[0]?.shape], ["caption", ["batch", 128, 128, 3]]);
      assert.ok(parity.differences.every(({ image }) => image < 1e-4));
    },
    LONG,
  );
}

if (pythonHas("numpy")) {
  test("tokenizer.py has the ids of the tokenizer here", async () => {
    const { run, out } = folders.caption;
    const { tokenizer } = (await readDenoiser(run)).description;
    const captions = [...CAPTIONS, "", "  A   Red\tCAT!! ", "Zürich, naïve — 猫 and 🐱", "x".repeat(40), "a-b_c 12²"];
    const script =
      "import json, sys; sys.path.insert(0, sys.argv[1])\nfrom tokenizer import encode\n" +
      "print(json.dumps(encode(json.loads(sys.argv[2])).tolist()))";
    const words = createTokenizer(tokenizer!);
    assert.equal(
      runPython(script, out, JSON.stringify(captions)),
      captions.map((caption) => [...words.encode(caption, 8)]),
    );
  });
} else test.skip("tokenizer.py has the ids of the tokenizer here", withoutPython("numpy"));

test.run();

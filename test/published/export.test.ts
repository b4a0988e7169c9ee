/**
 * Students of published networks exported: what is written is read back as it was, to the bit, and Python's diffusers draws what is
 * drawn here from the same noise.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createEngine } from "../../engine/engine.ts";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { createConditions } from "../../models/conditions.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { ONE_STEP, planOf } from "../../models/diffusion/sampler-plan.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { weightsIn } from "../../models/published/folder.ts";
import { toChannelsFirst } from "../../models/published/torch.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { exportPath } from "../../pipelines/export.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { Sampler } from "../../schemas/model.ts";
import { askingOf } from "../../stages/export/model/scheduler.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { pythonHas, runPython, withoutPython } from "../export/python.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";

const test = suite("published export");
const at = (name: string): string => join(pipelines, name);

/** A run folder as a training leaves it: the teacher's weights, each changed a little, and how it is sampled. */
async function studentOf(pipeline: string, sampler?: Sampler): Promise<{ run: string; student: Denoiser }> {
  const teacher = await readDenoiser(at(pipeline));
  const names = Object.keys(teacher.weights);
  const weights: Weights = Object.fromEntries(
    names.map((name, i) => {
      const { shape, data } = teacher.weights[name]!;
      const drawn = normals({ seed: 9, stream: "change", offset: 1000 * i, length: data.length });
      return [name, { shape, data: data.map((value, j) => value + 0.01 * drawn[j]!) }];
    }),
  );
  const description = { ...teacher.description, role: "student" as const, hash: hashWeights(weights), ...(sampler && { sampler }) };
  const run = freshFolder();
  await writeModel(run, { description, weights });
  await writeCodec(run, await readCodec(at(pipeline)));
  return { run, student: { description, weights } };
}

/** Exports it into a folder of its own. */
async function exported(run: string, format: string, more: { teacher?: string; half?: boolean } = {}): Promise<string> {
  const out = freshFolder();
  await exportPath({ path: run, format, out, ...more, context: recordingContext().context });
  return out;
}

/** Clean latents [rows, channels, height, width] of a student from unit noise [rows, height, width, channels]. */
async function drawn({ description, weights }: Denoiser, noise: Float32Array, labels: number[]): Promise<Weights[string]> {
  const { spec } = description;
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const network = engine.constants("network", weights);
  const rows = labels.length;
  const sampling = await createSampling({ engine, spec, network, plan: planOf(description, ONE_STEP), batch: rows });
  const conditions = createConditions({ spec });
  const given = await conditions.inputs({ label: Int32Array.from(labels), caption: labels.map(() => null) });
  return toChannelsFirst({ shape: [rows, ...spec.shape], data: await sampling.sample({ rows, noise, conditions: given }) });
}

/** The largest difference as a share of the largest element. */
function apart(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  const all = Array.from(expected);
  const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return all.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0) / largest;
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const pipeline of ["ddpm", "dit"]) {
    test(`${pipeline}: a folder of diffusers is read as the very student, and holds what its teacher's holds`, async () => {
      const { run, student } = await studentOf(pipeline);
      const out = await exported(run, "diffusers");
      const { description, weights } = await readDenoiser(out);
      assert.is(description.hash, student.description.hash);
      assert.equal(weights, student.weights);
      assert.equal(description.spec.network, student.description.spec.network);
      assert.equal(await readCodec(out), await readCodec(at(pipeline)));
      const part = pipeline === "dit" ? "transformer" : "unet";
      const named = async (folder: string) => {
        const { tensors } = await readSafetensors(await weightsIn(join(folder, part)));
        return Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
      };
      assert.equal(await named(out), await named(at(pipeline)));
      await exportPath({ path: run, format: "diffusers", out, context: recordingContext().context }); // again, into the same
    });
  }

  test("EDM: the network alone is read as the very student; a pipeline of diffusers it cannot be", async () => {
    const { run, student } = await studentOf("edm");
    const out = await exported(run, "safetensors");
    assert.equal(await readDenoiser(out).then(({ weights }) => weights), student.weights);
    const names = async (folder: string) => Object.keys((await readSafetensors(join(folder, "network.safetensors"))).tensors).sort();
    assert.equal(await names(out), await names(at("edm"))); // stored filters among them
    await assert.rejects(exported(run, "diffusers"), /no class of diffusers is its network\. Use --format safetensors/);
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

  const script = readFileSync(new URL("export_check.py", import.meta.url), "utf8");
  const cases: [pipeline: string, what: string, steps?: number[]][] = [
    ["ddpm", "one call"],
    ["dit", "four calls along the ODE", [999, 749, 499, 249]],
  ];
  for (const [pipeline, what, steps] of cases) {
    const title = `${pipeline}: diffusers draws the same in ${what}`;
    if (!pythonHas("diffusers", "torch")) {
      test.skip(title, withoutPython("diffusers", "torch"));
      continue;
    }
    test(
      title,
      async () => {
        const { sigmaAt } = createParameterisation((await readDenoiser(at(pipeline))).description.spec.diffusion);
        const { run, student } = await studentOf(pipeline, steps && { times: steps.map(sigmaAt), between: "ode", guidance: 1 });
        const { spec } = student.description;
        const labels = pipeline === "dit" ? [207, 360] : [0, 0];
        const noise = normals({ seed: 4, stream: "noise", offset: 0, length: 2 * spec.shape.reduce((a, b) => a * b, 1) });
        const out = await exported(run, "diffusers");
        const { _class_name: kind } = JSON.parse(readFileSync(join(out, "model_index.json"), "utf8")) as { _class_name: string };
        const { call, notes } = askingOf(student.description, kind);
        const share = Number(/the student from ([\d.]+):/.exec(notes.join(" "))?.[1] ?? 1); // what the README says of the noise
        const images = toChannelsFirst({ shape: [2, ...spec.shape], data: noise.map((n) => n * share) });
        const [given, made] = [join(out, "given.safetensors"), join(out, "made.safetensors")];
        writeFileSync(given, encodeSafetensors({ tensors: { noise: images } }));
        const own = pipeline === "dit" ? { class_labels: labels } : { batch_size: 2 };
        runPython(script, out, given, made, JSON.stringify({ call, given: own }));
        const theirs = (await readSafetensors(made)).tensors.latents!;
        const ours = await drawn(student, noise, labels);
        const difference = apart(theirs.data, ours.data);
        console.log(title, difference);
        assert.ok(difference < 1e-3, `${difference}`);
      },
      { seconds: 120 },
    );
  }
}

test.run();

/** Holds what Python's diffusers draws with exported students to what is drawn here from the same noise and prompts. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { ONE_STEP, planOf } from "../../models/diffusion/sampler-plan.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { toChannelsFirst } from "../../models/published/torch.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { type ImageSize, sizeInWords } from "../../schemas/images.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { askingOf } from "../../stages/export/model/scheduler.ts";
import type { Denoiser } from "../../stages/runs/model.ts";
import { openConditions } from "../../stages/sample/conditions.ts";
import { pythonHas, runPython, withoutPython } from "../export/python.ts";
import { assert, type suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { tinySettings } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { at, exported, loraStudentOf, studentOf } from "./students.ts";

type Test = ReturnType<typeof suite>;
const PROMPT = "a red cat on a mat";

/** Clean latents [1, channels, height, width] of a student from unit noise [height, width, channels]. */
async function drawn({ description, weights }: Denoiser, noise: Float32Array): Promise<Weights[string]> {
  const { spec } = description;
  const settings = tinySettings();
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const network = engine.constants("network", weights);
  const sampling = await createSampling({ engine, spec, network, plan: planOf(description, ONE_STEP), batch: 1 });
  const conditions = openConditions({ description, choice: settings.simulate, engine: settings.engine, signal: undefined });
  const given = await conditions.inputs({ label: Int32Array.of(7), caption: [PROMPT] });
  await conditions.close();
  return toChannelsFirst({ shape: [1, ...spec.shape], data: await sampling.sample({ rows: 1, noise, conditions: given }) });
}

/** The largest difference as a share of the largest element. */
function apart(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  const all = Array.from(expected);
  const largest = all.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return all.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0) / largest;
}

/** A student of a tiny pipeline. */
export interface Case {
  pipeline: string;
  /** Training steps at which the student is asked, along the ODE; once unless told. */
  steps?: number[];
  /** Of its pictures, where it is not the trained one. */
  size?: ImageSize;
  format?: "lora" | "single-file";
}

/** A student, exported, with what Python is asked of it and what is drawn here. */
async function jobOf({ pipeline, steps, size, format }: Case) {
  const changed = ({ spec }: DenoiserDescription): Partial<DenoiserDescription> => {
    const { sigmaAt } = createParameterisation(spec.diffusion);
    return steps ? { sampler: { times: steps.map(sigmaAt), between: "ode" as const, guidance: 1 } } : {};
  };
  const { run, student } = format === "lora" ? await loraStudentOf(pipeline) : await studentOf(pipeline, changed, size);
  const folder = await exported(run, format ?? "diffusers");
  const { shape, network } = student.description.spec;
  const noise = normals({ seed: 4, stream: "noise", offset: 0, length: shape.reduce((a, b) => a * b, 1) });
  const kind = JSON.parse(readFileSync(join(at(pipeline), "model_index.json"), "utf8"))._class_name as string;
  const { call, notes } = askingOf(student.description, kind);
  const share = Number(/the student from ([\d.]+):/.exec(notes.join(" "))?.[1] ?? 1); // as the README says
  const images = toChannelsFirst({ shape: [1, ...shape], data: noise.map((n) => n * share) });
  mkdirSync(folder, { recursive: true });
  const [path, out] = [join(folder, "given.safetensors"), join(folder, "made.safetensors")];
  writeFileSync(path, encodeSafetensors({ tensors: { noise: images } }));
  const [height, width] = network.pixels ?? [0, 0];
  const asked = network.text
    ? { prompt: PROMPT, ...(size === undefined && { height, width }) } // another size the export's own arguments ask for
    : pipeline === "dit"
      ? { class_labels: [7] }
      : { batch_size: 1 };
  const files = { lora: { lora: "pytorch_lora_weights.safetensors" }, "single-file": { single: "model.safetensors" } };
  const apart = format && { ...files[format], base: at(pipeline) };
  return { job: { folder, noise: path, out, call, given: asked, ...apart }, ours: await drawn(student, noise) };
}

const inWords = ({ pipeline, format, steps, size }: Case): string =>
  [
    pipeline,
    ...(size ? [`at ${sizeInWords(size)}`] : []),
    ...(format ? [`by ${format}`] : []),
    ...(steps ? [`in ${steps.length} calls`] : []),
  ].join(" ");

/** Compares all of some cases by one Python, which takes its time to start. */
export function compareInPython(test: Test, chosen: readonly Case[], ...packages: string[]): void {
  const title = `diffusers draws the same: ${chosen.map(inWords).join(", ")}`;
  if (!existsSync(pipelines)) test.skip(title, `there is no ${pipelines}`);
  else if (!pythonHas(...packages)) test.skip(title, withoutPython(...packages));
  else {
    test(
      title,
      async () => {
        const made = [];
        for (const each of chosen) made.push({ ...(await jobOf(each)), what: inWords(each) });
        const jobs = freshFolder();
        writeFileSync(jobs, JSON.stringify(made.map(({ job }) => job)));
        runPython(readFileSync(new URL("export_check.py", import.meta.url), "utf8"), jobs);
        for (const { job, ours, what } of made) {
          const theirs = (await readSafetensors(job.out)).tensors.latents!;
          assert.equal(theirs.shape, ours.shape, what);
          const difference = apart(theirs.data, ours.data);
          if (process.env.ONESTEP_SAY) console.error(what, difference);
          assert.ok(difference < 1e-3, `${what}: ${difference}`);
        }
      },
      { seconds: 280 },
    );
  }
}

/** Published teachers that read texts: guided runs against the golden vectors, and embeddings that a store keeps. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { conditionedRows } from "../../models/conditions.ts";
import { publishedSchedule } from "../../models/diffusion/published-schedule.ts";
import type { LevelPlan } from "../../models/diffusion/sampler-plan.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { ImageSize } from "../../schemas/images.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { readNegative } from "../../stages/runs/negative.ts";
import { openConditions } from "../../stages/sample/conditions.ts";
import { openTripleStore, readTriples } from "../../store/triples.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { prompted, quick } from "./quick.ts";

const test = suite("published teachers that read texts");
const at = (name: string): string => join(pipelines, name);

/** A guided run of a pipeline as golden.json tells of it. */
interface Told {
  name: string;
  scheduler: string;
  scheduler_config: object;
  prompt: string;
  negative_prompt: string | null;
  num_inference_steps: number;
  guidance_scale: number;
}

/** What a pipeline comes to from its golden noise under a prompt and a negative one: the largest difference over the largest element. */
async function apart(name: string, run: string, size: ImageSize): Promise<number> {
  const golden = JSON.parse(await readFile(join(at(name), "golden.json"), "utf8")) as {
    prompts: Record<string, string>;
    trajectories: Told[];
  };
  const told = golden.trajectories.find((each) => each.name === run) as Told;
  const { tensors } = await readSafetensors(join(at(name), "golden.safetensors"));
  const [noise, wanted] = [fromChannelsFirst(tensors.noise!), fromChannelsFirst(tensors[`${run}.latents`]!).data];
  const { description, weights } = await readDenoiser(at(name), { size });
  const { spec } = description;
  assert.equal(spec.shape, noise.shape.slice(1));
  const schedule = publishedSchedule({ json: { _class_name: told.scheduler, ...told.scheduler_config }, file: "golden.json" });
  const { sigmas } = schedule.visits(told.num_inference_steps);
  const [top] = sigmas as [number];
  const plan: LevelPlan = { times: sigmas.slice(0, -1), between: "ode", guidance: told.guidance_scale };
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const sampling = await createSampling({ engine, spec, network: engine.constants("network", weights), plan, batch: 1 });
  const conditions = openConditions({
    ...{ description, engine: quick("tlcm").engine, signal: undefined },
    choice: told.negative_prompt === null ? {} : { negative: told.negative_prompt },
  });
  const found = await sampling.sample({
    // These pipelines start from plain noise at their first time, as if nothing of the picture were left there.
    ...{ rows: 1, noise: noise.data.map((value) => (value * Math.sqrt(1 + top ** 2)) / top) },
    conditions: await conditions.inputs({ label: Int32Array.of(-1), caption: [golden.prompts[told.prompt]!] }),
  });
  await Promise.all([conditions.close(), engine.dispose()]);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0) / largest;
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const [name, run, size, what] of [
    ["sd15", "euler", [64, 128], "a negative prompt"],
    ["sdxl", "euler", [32, 48], "none, which is zeros, and the picture's size"],
  ] as const) {
    const title = `${name}: a whole run away from ${what} is the pipeline's`;
    test(title, async () => assert.ok((await apart(name, run, size)) < 1e-3), { seconds: 120 });
  }

  test(
    "sd15: stored embeddings are the derived ones bit for bit, and need no text encoder to be read",
    async () => {
      const { folder, settings } = await prompted("diffusion2gan");
      const { context } = recordingContext();
      const [derived, stored] = [join(folder, "derived"), join(folder, "stored")];
      const embeddings = "stored" as const;
      await simulate({ teacher: at("sd15"), out: derived, settings, context });
      await simulate({
        teacher: at("sd15"),
        out: stored,
        settings: { ...settings, simulate: { ...settings.simulate, embeddings } },
        context,
      });
      const [a, b] = [await openTripleStore({ folder: derived }), await openTripleStore({ folder: stored })];
      const [plain, rows] = [await readTriples(a, 0), await readTriples(b, 0)];
      assert.equal(
        rows.map(({ latent }) => latent),
        plain.map(({ latent }) => latent),
      );
      const { description } = await readDenoiser(at("sd15"));
      const open = { engine: settings.engine, choice: settings.simulate, signal: undefined };
      const own = openConditions({ ...open, description });
      const alone = openConditions({
        ...{ ...open, description: { ...description, textEncoders: "/nowhere" } },
        negative: await readNegative(stored, b.manifest.embedding!),
      });
      assert.equal(await alone.inputs(conditionedRows(rows)), await own.inputs(conditionedRows(plain)));
      await assert.rejects(alone.inputs(conditionedRows(plain)), /Cannot embed texts: .* not at \/nowhere.*textEncoders=FOLDER/);
      await assert.rejects(
        openConditions({ ...open, description, choice: { textEncoders: at("sd21v") } }).inputs(conditionedRows(plain)),
        /not those that the model was made with/,
      );
      await own.close();
    },
    { seconds: 300 },
  );
}

test.run();

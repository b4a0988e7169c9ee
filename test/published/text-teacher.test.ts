/** Published teachers that read texts: guided runs against the golden vectors, and embeddings that a store keeps. */
import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
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
import { planDenoiser, readDenoiser } from "../../stages/runs/model.ts";
import { readNegative } from "../../stages/runs/negative.ts";
import { openConditions } from "../../stages/sample/conditions.ts";
import { openTripleStore, readTriples } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
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
  true_cfg_scale?: number;
  max_sequence_length?: number;
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
    description,
    engine: quick("tlcm").engine,
    signal: undefined,
    choice: told.negative_prompt === null ? {} : { negative: told.negative_prompt },
  });
  const found = await sampling.sample({
    // These pipelines start from plain noise at their first time, as if nothing of the picture were left there.
    rows: 1,
    noise: noise.data.map((value) => (value * Math.sqrt(1 + top ** 2)) / top),
    conditions: await conditions.inputs({ label: Int32Array.of(-1), caption: [golden.prompts[told.prompt]!] }),
  });
  await Promise.all([conditions.close(), engine.dispose()]);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0) / largest;
}

/** Latents [h, w, c] from FLUX's tokens of 2 x 2 pixels each, whose numbers come channel by channel. */
function unpacked({ data }: { data: Float32Array }, [height, width, channels]: readonly [number, number, number]): Float32Array {
  const latents = new Float32Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        const token = Math.floor(y / 2) * (width / 2) + Math.floor(x / 2);
        latents[(y * width + x) * channels + c] = data[(token * channels + c) * 4 + (y % 2) * 2 + (x % 2)]!;
      }
  return latents;
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
    "flux: a run guided by two predictions as well, over texts of so many tokens, is the pipeline's",
    async () => {
      const golden = JSON.parse(await readFile(join(at("flux"), "golden.json"), "utf8"));
      const told = (golden.trajectories as Told[]).find(({ name }) => name === "flow_true_cfg") as Told;
      const { tensors } = await readSafetensors(join(at("flux"), "golden.safetensors"));
      const textLength = told.max_sequence_length;
      const { description, weights } = await readDenoiser(at("flux"), { size: [32, 48], textLength });
      const { spec } = description;
      assert.is(spec.network.text?.lengths.at(-1), textLength);
      const engine = await createEngine({ device: "cpu", threads: 1 });
      const asked = { steps: told.num_inference_steps, guidance: told.guidance_scale, trueGuidance: told.true_cfg_scale! };
      const network = engine.constants("network", weights);
      const sampling = await createSampling({ engine, spec, network, plan: { solver: "published", ...asked }, batch: 1 });
      const conditions = openConditions({
        description,
        engine: quick("tlcm").engine,
        signal: undefined,
        choice: { negative: told.negative_prompt! },
      });
      const found = await sampling.sample({
        rows: 1,
        noise: fromChannelsFirst(tensors[(told as unknown as { noise: string }).noise]!).data,
        conditions: await conditions.inputs({ label: Int32Array.of(-1), caption: [golden.prompts[told.prompt]] }),
      });
      await Promise.all([conditions.close(), engine.dispose()]);
      const wanted = unpacked(tensors["flow_true_cfg.latents"]!, spec.shape);
      const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assert.ok(found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0) < 1e-3 * largest);
    },
    { seconds: 120 },
  );

  test("a tokenizer that does not say how long a text is gives as many tokens as its encoder has positions", async () => {
    const lengthsOf = async (folder: string) => (await planDenoiser(folder)).teacher.description.spec.network.text!.lengths;
    const expected = await lengthsOf(at("sd15"));
    for (const [said, written] of [
      ['"model_max_length": 77', '"model_max_length": 1000000000000000019884624838656'],
      ['"model_max_length": 77,', ""],
    ] as const) {
      const folder = freshFolder();
      await cp(at("sd15"), folder, { recursive: true });
      const file = join(folder, "tokenizer", "tokenizer_config.json");
      const before = await readFile(file, "utf8");
      assert.ok(before.includes(said));
      await writeFile(file, before.replace(said, written));
      assert.equal(await lengthsOf(folder), expected);
    }
  });

  test("a length of texts is T5's alone, and a run has the one that it was trained with", async () => {
    for (const [name, lengths] of [
      ["sd3", [77, 77, 40]],
      ["pixart", [40]],
      ["flux", [77, 40]],
    ] as const)
      assert.equal((await planDenoiser(at(name), { textLength: 40 })).teacher.description.spec.network.text?.lengths, lengths);
    await assert.rejects(planDenoiser(at("sdxl"), { textLength: 40 }), /texts of 40 tokens \(simulate\.textLength\): it has no T5/);
  });

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
        ...open,
        description: { ...description, textEncoders: "/nowhere" },
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

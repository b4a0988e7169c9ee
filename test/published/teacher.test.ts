/**
 * Published pipelines as teachers: whole trajectories against the golden vectors, and the road from a folder to a student's picture.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import { hashWeights } from "../../engine/weights.ts";
import type { SolverPlan } from "../../models/diffusion/sampler-plan.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { createConditions } from "../../models/conditions.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { sample } from "../../pipelines/sample.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { quick } from "./quick.ts";

const test = suite("published teachers");
const at = (name: string): string => join(pipelines, name);

/** What a pipeline comes to from its golden noise, and what it should: the largest difference over the largest element. */
async function apart(options: { name: string; plan: SolverPlan; labels: number[]; expected: string }): Promise<number> {
  const { name, plan, labels, expected } = options;
  const { description, weights } = await readDenoiser(at(name));
  const { tensors } = await readSafetensors(join(at(name), "golden.safetensors"));
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const network = engine.constants("network", weights);
  const rows = labels.length;
  const sampling = await createSampling({ engine, spec: description.spec, network, plan, batch: rows });
  const conditions = createConditions({ spec: description.spec });
  const found = await sampling.sample({
    rows,
    noise: fromChannelsFirst(tensors.noise!).data,
    conditions: await conditions.inputs({ label: Int32Array.from(labels), caption: labels.map(() => null) }),
  });
  const wanted = fromChannelsFirst(tensors[expected]!).data;
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0) / largest;
}

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  test("EDM's own sampler: Heun in 3, 11 and 35 calls", async () => {
    for (const steps of [2, 6, 18]) {
      const plan: SolverPlan = { solver: "heun", steps, guidance: 1 };
      const difference = await apart({ name: "edm", plan, labels: [5, 8], expected: `heun_${steps}.latents` });
      assert.ok(difference < 1e-3, `${steps} steps: ${difference}`);
    }
  });

  test("DiT as its own scheduler walks, with guidance", async () => {
    const plan: SolverPlan = { solver: "auto", steps: 6, guidance: 4 };
    const difference = await apart({ name: "dit", plan, labels: [207, 360], expected: "ddim.latents" });
    assert.ok(difference < 1e-3, `${difference}`);
  });

  test("the hash that is made while weights are read is theirs", async () => {
    for (const name of ["dit", "flux", "edm"]) {
      const { description, weights } = await readDenoiser(at(name));
      assert.is(description.hash, hashWeights(weights), name);
    }
  });

  test("a scheduler whose steps add noise is refused before anything is simulated", async () => {
    const settings = quick("diffusion2gan");
    const simulated = { ...settings, simulate: { ...settings.simulate, solver: "published" as const } };
    const out = join(freshFolder(), "triples");
    await assert.rejects(
      simulate({ teacher: at("ddpm"), out, settings: simulated, context: recordingContext().context }),
      /Cannot walk as DDPMScheduler does: its steps add noise, .* set simulate.solver to ddim/,
    );
    assert.not.ok(existsSync(join(out, "store.json")));
  });

  for (const [name, method] of [
    ["dit", "diffusion2gan"],
    ["ddpm", "tlcm"],
  ] as const) {
    test(
      `${name}: from the folder to a student by ${method} and its picture, which needs the folder no more`,
      async () => {
        const folder = freshFolder();
        const { context } = recordingContext();
        const [triples, out, settings] = [join(folder, "triples"), join(folder, "student"), quick(method)];
        const store = method === "tlcm" ? undefined : triples; // it learns from the teacher itself
        if (store) await simulate({ teacher: at(name), out: store, settings, context });
        await train({ store, teacher: at(name), out, settings, context });
        await sample({ model: out, count: 2, out: join(folder, "samples.png"), settings, context });
        assert.is((await readDenoiser(out)).description.spec.network.kind, "published");
      },
      { seconds: 120 },
    );
  }
}

test.run();

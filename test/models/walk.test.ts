/** A sampler's evaluations as one graph: the same bits as stage by stage, and the weights in it once. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import type { ProgramSpec } from "../../engine/program.ts";
import { traceProgram } from "../../engine/trace.ts";
import { inMemory } from "../../engine/weights.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import { createSampling, type Solved } from "../../models/diffusion/sampling.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "./parameters.ts";

const test = suite("walk");

const ROWS = 3;

function specOf(kind: "dit" | "unet", width = 8): DenoiserSpec {
  const { diffusion, network } = settingsSchema.parse({
    network: { kind, width, depth: 1, heads: 2, multipliers: [1, 2], condition: "class" },
  });
  return { shape: [4, 4, 2], network, diffusion, classes: ["a", "b", "c"], vocabulary: 0 };
}

/** Samples in batches of two, with the states before two steps; and the programs that were compiled for it. */
async function drawn(spec: DenoiserSpec, plan: SamplerPlan, unrolled: boolean): Promise<Solved & { programs: ProgramSpec[] }> {
  const engine = await createEngine({ device: "cpu", threads: 1, cache: false });
  const programs: ProgramSpec[] = [];
  const compile: Engine["compile"] = (program) => {
    programs.push(program as unknown as ProgramSpec);
    return engine.compile(program);
  };
  const network = engine.constants("network", perturbed(initDenoiser(spec, 1)));
  const sampling = await createSampling({ engine: { ...engine, compile }, spec, network, plan, batch: 2, unrolled });
  const noise = noiseFor({ seed: 3, stream: "samples", rows: ROWS, spec, plan });
  const conditions = { label: Int32Array.of(2, 0, 1) } as never;
  const solved = await sampling.solve({ ...noise, rows: ROWS, conditions, keep: [0, 2] });
  await engine.dispose();
  return { ...solved, programs };
}

const plans: Record<string, SamplerPlan> = {
  euler: { solver: "euler", steps: 4, guidance: 1 },
  "heun, guided": { solver: "heun", steps: 3, guidance: 2.5 },
  "dpm++2m, guided and rescaled": { solver: "dpm++2m", steps: 4, guidance: 3, guidanceRescale: 0.7 },
  "fresh noise between levels": { times: [80, 3, 0.5], between: "renoise", guidance: 1 },
};

for (const kind of ["dit", "unet"] as const) {
  for (const [name, plan] of Object.entries(plans).filter(([name]) => kind === "dit" || name.startsWith("heun"))) {
    test(`${kind}, ${name}: one graph gives the bits of stage by stage`, async () => {
      const [one, staged] = [await drawn(specOf(kind), plan, true), await drawn(specOf(kind), plan, false)];
      assert.equal([...one.latents], [...staged.latents]);
      assert.equal(
        one.states.map((state) => [...state]),
        staged.states.map((state) => [...state]),
      );
      assert.equal([one.programs.length, staged.programs.length], [1, 1]);
      assert.equal([one.programs[0]?.name, staged.programs[0]?.name], ["sampler", "sampler stage"]);
    });
  }
}

test("the graph of all evaluations holds the weights once", async () => {
  const spec = specOf("dit", 64);
  const bytesOf = async (steps: number): Promise<{ model: number; weights: number }> => {
    const { programs } = await drawn(spec, { solver: "euler", steps, guidance: 1 }, true);
    const [program] = programs as [ProgramSpec];
    const trained = program.sets.trained as { weights: Parameters<typeof inMemory>[0] };
    const weights = await inMemory(trained.weights as never);
    const placed = Object.fromEntries(Object.entries(weights).map(([key, { data }]) => [key, { place: "baked" as const, data }]));
    const { model } = traceProgram(program, { frozen: new Map([[program.sets.trained as never, placed]]) });
    return { model: model.byteLength, weights: Object.values(weights).reduce((sum, { data }) => sum + data.byteLength, 0) };
  };
  const [three, six] = [await bytesOf(3), await bytesOf(6)];
  assert.ok(three.weights > 200_000, `${three.weights}`);
  assert.ok(six.model - three.model < three.weights / 4, `${three.model} -> ${six.model} of ${three.weights}`);
});

test.run();

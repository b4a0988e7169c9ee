/** What webgpu-checks.ts checks of loops: a sampler's is one call of the device, and a training's reads what somebody is shown. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { ort } from "../../engine/session.ts";
import { methodFor, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { create } from "../../stages/workers/trainer.ts";
import { assert } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";

const BATCH = 2;
const settings = settingsSchema.parse({
  network: { condition: "class", width: 8, depth: 1, heads: 2 },
  pretrain: { teacher: { batch: BATCH, warmup: 1 } },
});
const spec: DenoiserSpec = { ...settings, shape: [4, 4, 2], classes: ["a", "b"], vocabulary: 0 };
const weights = perturbed(initDenoiser(spec, 1), 0.05);
const label = Int32Array.of(1, 0);
const draw = (stream: string): Float32Array => normals({ seed: 4, stream, length: BATCH * 32 });

/** Runs of sessions during a task: each is a call of the device, and each read of a tensor there is one. */
async function runsOf(task: () => Promise<unknown>): Promise<number> {
  const { prototype: sessions } = ort.InferenceSession as unknown as { prototype: { run: (...words: unknown[]) => Promise<unknown> } };
  const { run } = sessions;
  let runs = 0;
  sessions.run = function (...words) {
    runs++;
    return run.apply(this, words);
  };
  try {
    await task();
  } finally {
    sessions.run = run;
  }
  return runs;
}

const sampler = async (
  device: "cpu" | "webgpu",
): Promise<{ engine: Engine; solve: () => Promise<{ latents: Float32Array; states: Float32Array[] }> }> => {
  const engine = await createEngine({ device, threads: 1, cache: false });
  const network = engine.constants("network", weights);
  const { solve } = await createSampling({ engine, spec, network, plan: { solver: "heun", steps: 3, guidance: 2 }, batch: BATCH });
  return { engine, solve: () => solve({ noise: draw("noise"), rows: BATCH, conditions: { label }, keep: [0, 1] }) };
};

const trainer = () => {
  const method = methodFor("teacher");
  const { teacher } = settings.pretrain;
  const job = {
    settings: ownSettings(method, teacher),
    optimiser: optimiserOf(teacher),
    seed: 1,
    subject: { spec, plan: settings.simulate },
  };
  const engine = { device: "webgpu", precision: "single", threads: 1 } as never;
  return create({ method: method.name, job: job as never, weights: {}, start: { teacher: weights }, engine });
};
const batchOf = (step: number, latent = draw("latent")) => ({ step, latent, conditions: { label } });

export const loops: Record<string, () => Promise<void>> = {
  "all evaluations of a sampler are one run, and agree with the CPU's": async () => {
    const [webgpu, cpu] = [await sampler("webgpu"), await sampler("cpu")];
    const expected = await cpu.solve();
    await webgpu.solve(); // weights go up
    let found = expected;
    const runs = await runsOf(async () => (found = await webgpu.solve()));
    assert.is(runs, 3); // and the states before step 1 and after the last come down
    assert.close(found.latents, expected.latents, 1e-3);
    assert.equal([...found.states[0]!], [...expected.states[0]!]);
    assert.close(found.states[1]!, expected.states[1]!, 1e-3 * settings.diffusion.sigmaMax);
    await webgpu.engine.dispose();
    await cpu.engine.dispose();
  },
  "figures of a step that nobody is shown stay on the device, and those that are not finite are known": async () => {
    const { step, isSound } = await trainer();
    const shown = await step({ ...batchOf(0), isShown: true });
    assert.ok(Number.isFinite(shown.loss) && Number.isFinite(shown.norm));
    assert.is(await runsOf(() => step({ ...batchOf(1), isShown: false })), 1);
    assert.is(await runsOf(() => step({ ...batchOf(2), isShown: true })), 1 + Object.keys(shown).length);
    assert.equal(await step({ ...batchOf(3), isShown: false }), {});
    assert.is(await isSound(), true);
    await step({
      ...batchOf(
        4,
        draw("latent").map((x) => x * 1e30),
      ),
      isShown: false,
    });
    assert.is(await isSound(), false);
  },
};

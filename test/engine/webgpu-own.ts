/**
 * What webgpu-checks.ts checks of what is different there: a sampler is one call of the device, a training reads what somebody is shown, and
 * attention is one operator where nothing is differentiated.
 */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { ort } from "../../engine/session.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { methodFor, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { attention } from "../../models/layers.ts";
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

const sampler = async (device: "cpu" | "webgpu"): Promise<{ engine: Engine; solve: () => Promise<{ latents: Float32Array; states: Float32Array[] }> }> => {
  const engine = await createEngine({ device, threads: 1, cache: false });
  const network = engine.constants("network", weights);
  const { solve } = await createSampling({ engine, spec, network, plan: { solver: "heun", steps: 3, guidance: 2 }, batch: BATCH });
  return { engine, solve: () => solve({ noise: draw("noise"), rows: BATCH, conditions: { label }, keep: [0, 1] }) };
};

const trainer = (precision: "single" | "half") => {
  const method = methodFor("teacher");
  const { teacher } = settings.pretrain;
  const job = { settings: ownSettings(method, teacher), optimiser: optimiserOf(teacher), seed: 1, subject: { spec, plan: settings.simulate } };
  const engine = { device: "webgpu", precision, threads: 1 } as never;
  return create({ method: method.name, job: job as never, weights: {}, start: { teacher: weights }, engine });
};
const batchOf = (step: number, latent = draw("latent")) => ({ step, latent, conditions: { label } });

export const own: Record<string, () => Promise<void>> = {
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
    const { step, isSound } = await trainer("single");
    const shown = await step({ ...batchOf(0), isShown: true });
    assert.ok(Number.isFinite(shown.loss) && Number.isFinite(shown.norm));
    assert.is(await runsOf(() => step({ ...batchOf(1), isShown: false })), 1);
    assert.is(await runsOf(() => step({ ...batchOf(2), isShown: true })), 1 + Object.keys(shown).length);
    assert.equal(await step({ ...batchOf(3), isShown: false }), {});
    assert.is(await isSound(), true);
    await step({ ...batchOf(4, draw("latent").map((x) => x * 1e30)), isShown: false });
    assert.is(await isSound(), false);
  },
  "attention as one operator agrees with its parts, which what is differentiated is made of": async () => {
    const [webgpu, cpu] = await Promise.all((["webgpu", "cpu"] as const).map((device) => createEngine({ device, threads: 1, cache: false })));
    for (const [n, m, heads, width] of [
      [5, 5, 2, 8],
      [9, 3, 3, 15],
      [1, 17, 1, 64],
      [64, 77, 2, 80],
    ] as const) {
      const shapes = { q: [2, n, width], k: [2, m, width], v: [2, m, width] };
      const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
      const feeds = Object.entries(shapes).map(([name, [b, rows]]) => [name, normals({ seed: 6, stream: name, length: b! * rows! * width })]);
      const made = (engine: Engine) =>
        engine.compile({
          name: "attention",
          sets: {},
          inputs,
          run: (_, { q, k, v }) => {
            const given = { k: k as Tensor, v: v as Tensor, heads };
            const slope = tf.grad((x: Tensor) => tf.sum(tf.square(attention({ q: x, ...given }))))(q as Tensor);
            return { outputs: { y: attention({ q: q as Tensor, ...given }), slope } };
          },
        });
      const [one, parts] = [await made(webgpu!), await made(cpu!)];
      const [found, expected] = [await one.run(Object.fromEntries(feeds)), await parts.run(Object.fromEntries(feeds))];
      for (const name of ["y", "slope"]) assert.close(found[name]!, expected[name]!, 2e-5, `${name} of ${n}, ${m}, ${heads}, ${width}`);
    }
    await webgpu!.dispose();
    await cpu!.dispose();
  },
  "half precision's skipped updates are sound": async () => {
    const { step, isSound } = await trainer("half");
    for (const at of [0, 1]) await step({ ...batchOf(at), isShown: false });
    assert.is(await isSound(), true);
  },
};

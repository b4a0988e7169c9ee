/** Sampling by model.json: fixed noise levels, fresh noise between them, a prior, and guidance as an input. */
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import type { ConditionBag } from "../../models/conditions.ts";
import { type DenoiserSpec, extended, initDenoiser, takesGuidance } from "../../models/denoiser.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import { allowedSteps, type LevelPlan, ONE_STEP, planOf, samplerInWords, type SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import { evaluationsOf, scheduleOf } from "../../models/diffusion/plan-schedule.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { vpSigma } from "../../models/diffusion/vp-schedule.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { Sampler } from "../../schemas/model.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "./parameters.ts";

const test = suite("sampling");

const SIZE = 4 * 4 * 2;
const STD = 0.5; // sigmaData
const MEAN = 0.3; // of F, whatever it is asked

type Network = { kind?: "dit" | "unet"; condition?: "none" | "class"; guidance?: boolean };

function specOf(network: Network = {}, parameterisation: "edm" | "flow" | "vp-v" = "edm"): DenoiserSpec {
  const { diffusion, network: whole } = settingsSchema.parse({
    network: { width: 8, depth: 1, heads: 2, multipliers: [1, 2], condition: "none", ...network },
    diffusion: { parameterisation },
  });
  return { shape: [4, 4, 2], network: whole, diffusion, classes: network.condition === "class" ? ["a", "b", "c"] : [], vocabulary: 0 };
}

/** F = MEAN everywhere: with it D is affine in x, and for MEAN 0 the exact denoiser of N(0, sigmaData^2). */
function constantNetwork(spec: DenoiserSpec): Weights {
  const weights = initDenoiser(spec, 1);
  const bias = weights["final.out.bias"]!;
  return { ...weights, "final.out.bias": { ...bias, data: bias.data.map(() => MEAN) } };
}

/** EDM's D(x; sigma) = skip x + shift of that network, Karras et al. 2022, table 1. */
const affine = (sigma: number) => ({
  skip: STD ** 2 / (sigma ** 2 + STD ** 2),
  shift: (MEAN * sigma * STD) / Math.sqrt(sigma ** 2 + STD ** 2),
});

interface Draw {
  spec: DenoiserSpec;
  weights: Weights;
  plan: SamplerPlan;
  rows: number;
  batch?: number;
  from?: number;
  label?: Int32Array;
}

async function drawn({ spec, weights, plan, rows, batch = rows, from, label }: Draw): Promise<Float32Array> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const sampling = await createSampling({ engine, spec, network: engine.constants("network", weights), plan, batch });
  const inputs = {
    ...noiseFor({ seed: 3, stream: "samples", from, rows, spec, plan }),
    rows,
    conditions: { ...(label && { label }) } as ConditionBag,
  };
  const latents = await sampling.sample(inputs);
  assert.is(sampling.evaluations, evaluationsOf(plan, spec));
  return latents;
}

const noiseOf = (stream: string, rows: number) => normals({ seed: 3, stream, length: rows * SIZE });

const times = [80, 6, 0.8, 0.1];

test("fresh noise between levels is multistep consistency sampling, element by element and in its moments", async () => {
  const spec = specOf();
  const rows = 1000;
  const plan = planOf({ role: "student", spec, sampler: { times, between: "renoise", guidance: 1 } }, ONE_STEP);
  const latents = await drawn({ spec, weights: constantNetwork(spec), plan, rows, batch: 64 });

  const noises = [noiseOf("samples", rows), ...[1, 2, 3].map((i) => noiseOf(`samples/renoise/${i}`, rows))];
  const exact = Float64Array.from({ length: rows * SIZE }, (_, at) => {
    let clean = 0;
    for (const [i, sigma] of times.entries()) {
      const { skip, shift } = affine(sigma);
      clean = skip * (clean + sigma * noises[i]![at]!) + shift;
    }
    return clean;
  });
  assert.close(latents, exact, 2e-5);

  let [mean, variance] = [0, 0];
  for (const sigma of times) {
    const { skip, shift } = affine(sigma);
    [mean, variance] = [skip * mean + shift, skip ** 2 * (variance + sigma ** 2)];
  }
  const found = latents.reduce((sum, value) => sum + value, 0) / latents.length;
  const spread = latents.reduce((sum, value) => sum + (value - found) ** 2, 0) / latents.length;
  assert.close(found, mean, 4 * Math.sqrt(variance / latents.length));
  assert.close(spread / variance, 1, 4 * Math.sqrt(2 / latents.length));
});

test("levels along the ODE are Euler's steps between them, and end at zero", async () => {
  const spec = specOf();
  const rows = 5;
  const plan = planOf({ role: "student", spec, sampler: { times, between: "ode", guidance: 1 } }, ONE_STEP);
  const latents = await drawn({ spec, weights: constantNetwork(spec), plan, rows, batch: 2 });
  const exact = Float64Array.from(noiseOf("samples", rows), (n) => {
    let x = times[0]! * n;
    for (const [i, sigma] of times.entries()) {
      const { skip, shift } = affine(sigma);
      x += ((times[i + 1] ?? 0) - sigma) * ((x - (skip * x + shift)) / sigma);
    }
    return x;
  });
  assert.close(latents, exact, 2e-5);
});

test("a prior lies under the noise of the first state, by channel", async () => {
  const spec = specOf();
  const rows = 3;
  const prior = { mean: [0.5, -2], std: [0.1, 3] };
  const plan = planOf({ role: "student", spec, sampler: { times: [5], between: "ode", guidance: 1, prior } }, ONE_STEP);
  const latents = await drawn({ spec, weights: constantNetwork(spec), plan, rows });
  const [first, under] = [noiseOf("samples", rows), noiseOf("samples/prior", rows)];
  const { skip, shift } = affine(5);
  const exact = Float64Array.from(first, (n, i) => skip * (prior.mean[i % 2]! + prior.std[i % 2]! * under[i]! + 5 * n) + shift);
  assert.close(latents, exact, 2e-6);
});

test("a single level of any kind is the one evaluation that students have always been, to the last bit", async () => {
  for (const parameterisation of ["edm", "flow", "vp-v"] as const) {
    const spec = specOf({ condition: "class" }, parameterisation);
    const weights = perturbed(initDenoiser(spec, 1));
    const draw = { spec, weights, rows: 5, batch: 3, label: Int32Array.of(0, 1, 2, 0, 1) };
    const one = await drawn({ ...draw, plan: ONE_STEP });
    for (const between of ["ode", "renoise"] as const) {
      const plan = planOf({ role: "student", spec, sampler: { times: [spec.diffusion.sigmaMax], between, guidance: 1 } }, ONE_STEP);
      assert.equal([...(await drawn({ ...draw, plan }))], [...one], `${parameterisation}, ${between}`);
    }
    assert.equal([...(await drawn({ ...draw, plan: planOf({ role: "student", spec }, { ...ONE_STEP, steps: 9 }) }))], [...one]);
  }
});

test("a sample is a function of its number, whatever is drawn beside it", async () => {
  const spec = specOf();
  const sampler: Sampler = { times, between: "renoise", guidance: 1, prior: { mean: [0, 1], std: [1, 1] } };
  const plan = planOf({ role: "student", spec, sampler }, ONE_STEP);
  const weights = perturbed(initDenoiser(spec, 1));
  const many = await drawn({ spec, weights, plan, rows: 6, batch: 2 });
  const part = await drawn({ spec, weights, plan, rows: 2, from: 3, batch: 2 });
  assert.close(part, many.subarray(3 * SIZE, 5 * SIZE), 1e-6);

  const noise = noiseFor({ seed: 9, stream: "watch", first: "watch/noise", from: 2, rows: 3, spec, plan });
  const at = (stream: string) => [...normals({ seed: 9, stream, offset: 2 * SIZE, length: 3 * SIZE })];
  assert.equal([...noise.noise], at("watch/noise"));
  assert.equal([...noise.prior!], at("watch/prior"));
  assert.equal(
    noise.fresh!.map((each) => [...each]),
    [1, 2, 3].map((i) => at(`watch/renoise/${i}`)),
  );
  const given = Float32Array.of(1, 2, 3);
  assert.is(noiseFor({ seed: 9, stream: "pictures", first: given, rows: 1, spec, plan }).noise, given);
  assert.equal(Object.keys(noiseFor({ seed: 9, stream: "samples", rows: 1, spec, plan: ONE_STEP })), ["noise"]);
});

test("noise that is not all a plan takes is refused", async () => {
  const spec = specOf();
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const network = engine.constants("network", initDenoiser(spec, 1));
  const plan: SamplerPlan = { times, between: "renoise", guidance: 1 };
  const sampling = await createSampling({ engine, spec, network, plan, batch: 1 });
  const inputs = { noise: new Float32Array(SIZE), rows: 1, conditions: {} };
  await assert.rejects(sampling.sample(inputs), /takes 3 fresh noises and none for a prior, and is given 0 .*noiseFor/);
});

test("steps: as many as a student was made for, each at its own levels, and a word of which where it was not", () => {
  const spec = specOf();
  const sampler: Sampler = { times, between: "renoise", guidance: 2, choices: { 1: [80], 2: [80, 1] } };
  const student = { role: "student" as const, spec, sampler };
  const calls = (steps?: number) => (planOf(student, ONE_STEP, { steps, name: "run" }) as LevelPlan).times;
  assert.equal([calls(), calls(4), calls(2), calls(1)], [times, times, [80, 1], [80]]);
  assert.equal(allowedSteps(student), [1, 2, 4]);
  assert.throws(() => calls(3), /^Cannot sample run in 3 network calls: it was made for 1, 2 or 4 network calls\. .*--steps/);
  assert.throws(() => planOf({ role: "student", spec }, ONE_STEP, { steps: 2 }), /it was made for 1 network call\. Ask for that/);
  assert.match(
    samplerInWords(student),
    /^4 network calls \(NFE 4\); at sigma 80, 6, 0.8, 0.1, .*fresh noise; or in 1 or 2 network calls; guidance 2$/,
  );
});

test("where any number is allowed, the levels are even in the network's time; a teacher's steps are its solver's", () => {
  const solver = { solver: "heun" as const, steps: 18, guidance: 1.5 };
  const any = (between: "ode" | "renoise", spec: DenoiserSpec) => ({
    role: "student" as const,
    spec,
    sampler: { times: "any" as const, between, guidance: 1, choices: { 2: [80, 3] } },
  });
  const flow = specOf({}, "flow");
  assert.equal(planOf(any("ode", flow), solver), solver);
  const four = planOf(any("ode", flow), solver, { steps: 4 });
  const { timeOf, sigmaMax } = createParameterisation(flow.diffusion);
  const { stages, start } = scheduleOf(four, flow);
  assert.is(start, sigmaMax);
  assert.close(
    stages.map(({ sigma }) => timeOf(sigma)),
    [1, 0.75, 0.5, 0.25].map((share) => share * timeOf(sigmaMax)),
    1e-12,
  );
  assert.equal((four as { guidance: number }).guidance, 1.5);
  assert.equal((planOf(any("ode", flow), solver, { steps: 2 }) as LevelPlan).times, [80, 3]);
  assert.is(evaluationsOf(planOf(any("renoise", flow), solver), flow), 18);
  assert.equal(planOf({ role: "teacher", spec: flow }, solver, { steps: 3 }), { ...solver, steps: 3 });
  assert.is(evaluationsOf(planOf({ role: "teacher", spec: flow }, solver, { steps: 3 }), flow), 5);
  const vp = specOf({}, "vp-v");
  const top = scheduleOf({ times: [80, 2], between: "ode", guidance: 1 }, vp);
  assert.is(top.start, vpSigma(1)); // the settings' sigmaMax is above all that a VP network knows
});

for (const kind of ["dit", "unet"] as const) {
  for (const condition of ["none", "class"] as const) {
    test(`${kind}, ${condition}: a network told of guidance starts as its teacher, and then differs by the scale alone`, async () => {
      const teacher = specOf({ kind, condition });
      const spec = specOf({ kind, condition, guidance: true });
      assert.equal([takesGuidance(teacher), takesGuidance(spec)], [false, true]);
      const weights = perturbed(initDenoiser(teacher, 1));
      const whole = extended(spec, weights, 2);
      assert.equal(Object.keys(whole).sort(), Object.keys(initDenoiser(spec, 0)).sort());
      const added = Object.keys(whole).filter((name) => !(name in weights));
      assert.equal(added.sort(), kind === "unet" && condition === "none" ? ["condition.kernel", "guidance.kernel"] : ["guidance.kernel"]);

      const draw = { rows: 3, label: Int32Array.of(2, 0, 1) };
      const at = (guidance: number): SamplerPlan => ({ times: [80, 1], between: "ode", guidance });
      const plain = await drawn({ ...draw, spec: teacher, weights, plan: at(1) });
      for (const scale of [1, 7.5]) assert.equal([...(await drawn({ ...draw, spec, weights: whole, plan: at(scale) }))], [...plain]);
      const told = { ...whole, "guidance.kernel": perturbed(whole)["guidance.kernel"]! };
      const [one, other, again] = [at(2), at(7.5), at(2)].map((plan) => drawn({ ...draw, spec, weights: told, plan }));
      assert.equal([...(await one!)], [...(await again!)]);
      assert.not.equal([...(await one!)], [...(await other!)]);
    });
  }
}

test("weights of another network do not extend", () => {
  const spec = specOf({ guidance: true });
  assert.throws(() => extended(spec, initDenoiser({ ...spec, network: { ...spec.network, width: 16 } }, 1), 1), /Cannot extend .*shape/);
  assert.throws(() => extended(specOf(), initDenoiser(spec, 1), 1), /"guidance.kernel" .* none of that name/);
});

test.run();

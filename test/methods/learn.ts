/** Trains by a method on a known ground, in this thread and without files: rows as the method needs them, phases one after the other. */
import type { Weights } from "../../engine/weights.ts";
import type { Batch, Job, Role, Subject } from "../../methods/method.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";
import { createEngine } from "../../engine/engine.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import { allowedSteps, planOf, type SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import { timeGrid } from "../../models/diffusion/schedule.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { OptimiserSettings, Settings } from "../../schemas/settings.ts";
import { create, type TrainerApi, type TrainerOptions } from "../../stages/workers/trainer.ts";
import type { Ground } from "./ground.ts";

const engine = { device: "cpu", precision: "single", threads: 1 } as const;

export interface Learned {
  /** Samples [rows * size] of the student's EMA for unit noise, by as few network calls as it was made for. */
  sample: (noise: Float32Array) => Promise<Float32Array>;
  figures: Record<string, number>;
}

/** What is asked of a trainer here, one or several that are as one. */
type Start = (options: TrainerOptions) => Promise<Pick<TrainerApi, "step" | "read" | "whole">>;

/** Trains the student of `settings.train.method` of the ground's exact teacher, by a trainer in this thread unless told. */
export async function learn(options: { settings: Settings; spec: DenoiserSpec; ground: Ground; start?: Start }): Promise<Learned> {
  const { settings, spec, ground, start = create } = options;
  const method = methodNamed(settings.train.method);
  const { seed } = settings;
  const own = ownSettings(method, settings.train) as object;
  const optimiser = optimiserOf(settings.train);
  const phases = method.phases?.(own as never) ?? [];
  if (phases.length === 0)
    return train({ method, own, optimiser, seed, spec, ground, settings, start, teacher: ground.teacher, pairs: ground.state });
  let [teacher, pairs] = [ground.teacher, ground.state];
  let learned: Learned | undefined;
  for (const phase of phases) {
    if ("simulate" in phase) {
      const latents = await flowOf({ spec, weights: teacher, plan: { ...settings.simulate, ...phase.simulate } });
      pairs = (noise) => latents(noise) as never;
      continue;
    }
    const trained = await train({
      method,
      seed,
      spec,
      ground,
      settings,
      start,
      teacher,
      pairs,
      own: { ...own, ...(phase.train as object) },
      optimiser: { ...optimiser, ...phase.optimiser },
    });
    learned = trained;
    teacher = trained.weights;
  }
  return learned as Learned;
}

type Pairs = (noise: Float32Array, sigma: number) => Float32Array | Promise<Float32Array>;

/** Unit noise to samples of a network by a plan. */
async function flowOf({ spec, weights, plan }: { spec: DenoiserSpec; weights: Weights; plan: SamplerPlan }) {
  const own = await createEngine(engine);
  const batch = 64;
  const sampling = await createSampling({ engine: own, spec, network: own.constants("network", weights), plan, batch });
  return (noise: Float32Array) => {
    const rows = noise.length / spec.shape.reduce((a, b) => a * b, 1);
    const inputs = noiseFor({ seed: 41, stream: "known/sample", rows, spec, plan, first: noise });
    return sampling.sample({ ...inputs, rows, conditions: {} });
  };
}

async function train(options: {
  method: ReturnType<typeof methodNamed>;
  own: object;
  optimiser: OptimiserSettings;
  seed: number;
  spec: DenoiserSpec;
  ground: Ground;
  teacher: Weights;
  pairs: Pairs;
  settings: Settings;
  start: Start;
}): Promise<Learned & { weights: Weights }> {
  const { method, own, optimiser, seed, spec, ground, teacher, pairs, settings, start } = options;
  const { size } = ground;
  const { batch, steps } = optimiser;
  const needs = method.needs(own as never, optimiser);
  const wanted = [...needs.frozen, ...(needs.uses ?? [])];
  const { sigmaData } = spec.diffusion;
  const perceptual = perceptualConfig({ shape: spec.shape, width: 16, sigmaData, classes: 2, words: [] });
  const clock = createParameterisation(spec.diffusion);
  const trajectory = Array.from(timeGrid({ clock, steps: 8 })).slice(0, -1);
  const student = method.student?.(own as never, spec, {});
  const subject: Subject = {
    spec,
    plan: settings.simulate,
    ...(student && student !== spec && { student }),
    ...(wanted.includes("perceptual") && { perceptual }),
    ...(needs.trajectory && { trajectory }),
    ...(wanted.includes("codec") && {
      codec: { kind: "pixel", imageSize: spec.shape[0], shape: [...spec.shape], hash: "pixel" },
      statistics: { mean: spec.shape.map(() => 0), std: spec.shape.map(() => sigmaData), min: [], max: [], nonFinite: 0 },
    }),
  };
  const weights: Record<Role, Weights> = {
    teacher,
    ...(wanted.includes("perceptual") && { perceptual: initPerceptual(perceptual, 3) }),
    ...(wanted.includes("codec") && { codec: {} }),
  };
  const job: Job<never> = { settings: own as never, optimiser, seed, subject };
  const trainer = await start({ method: method.name, job, weights, engine });
  const drawn = (stream: string, step: number, rows = batch): Float32Array =>
    normals({ seed: 21, stream, offset: step * rows * size, length: rows * size });
  let figures: Record<string, number> = {};
  for (let step = 0; step < steps; step++) {
    const noise = drawn("known/noise", step);
    const isPaired = needs.rows === "triples";
    const images = needs.images && step >= needs.images.fromStep ? needs.images.rows : 0;
    const given: Batch = {
      step,
      conditions: {},
      ...(isPaired && { noise, latent: await pairs(noise, 0) }),
      ...(!isPaired && needs.rows !== "none" && { latent: ground.data(noise) }),
      ...(needs.trajectory && { states: trajectory.map((sigma) => ground.state(noise, sigma)) }),
      ...(images > 0 && { image: { latent: ground.data(drawn("known/image", step, images)), conditions: {} } }),
    };
    figures = await trainer.step(given);
  }
  const { makes } = method;
  const made = await trainer.whole({ role: makes, trained: await trainer.read({ role: makes, set: "average" }) });
  const model = { role: "student" as const, spec: student ?? spec, sampler: method.sampler?.(own as never, subject) };
  const allowed = allowedSteps(model);
  const plan = planOf(model, settings.simulate, allowed === "any" ? {} : { steps: allowed[0] });
  return { figures, weights: made, sample: await flowOf({ spec: model.spec, weights: made, plan }) };
}

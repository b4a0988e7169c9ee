/**
 * SCott: consistency distillation whose teacher takes several steps of an SDE, with noise of a chosen amount, from the student's
 * level to that of its target, an EMA of the student; and a hinge game against the frozen teacher with a LoRA (docs/METHODS.md 7).
 */
import * as z from "zod";
import { type Tensor, tf } from "../engine/tfjs.ts";
import type { Weights } from "../engine/weights.ts";
import { createUnpairedCritic, type UnpairedCritic, type UnpairedSeen, verdictsOf } from "../models/critics/critic.ts";
import { disturbanceInputs, disturbanceOf, disturbances } from "../models/critics/disturbance.ts";
import { conditionInputs, type DenoiserSpec, extended, parameterGroups } from "../models/denoiser.ts";
import { boundaryNames, consistencyOf, rowDistances, snrWeight } from "../models/diffusion/consistency.ts";
import { evenShares, noisedAt, renoisingSampler } from "../models/diffusion/few-steps.ts";
import { denoiserOf } from "../models/diffusion/levels.ts";
import { createParameterisation } from "../models/diffusion/parameterisation.ts";
import { descents, LEAST_SHARE, levelAt } from "../models/diffusion/schedule.ts";
import { teacherSteps } from "../models/diffusion/teacher-step.ts";
import { columns, type Parameters } from "../models/layers.ts";
import { games } from "../models/losses/adversarial.ts";
import { weighted } from "../models/losses/terms.ts";
import { adapterSchema, effective, initAdapter } from "../models/training/adapters.ts";
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import { stratified } from "../schemas/numbers/strata.ts";
import { badUsage } from "../schemas/failure.ts";
import { count, fraction, rate, weight } from "../schemas/settings.ts";
import {
  type Kit as AnyKit,
  type Batch,
  type Job,
  type Losses,
  type Method,
  type Run,
  type Update,
  studentOf,
  teacherOf,
} from "./method.ts";
import { stochasticFit } from "./fit/stochastic.ts";
import { adversarialFindings, discriminatorFigures, ofDiscriminator } from "./findings/adversarial.ts";

const scale = z.number().nonnegative();

const settings = z.strictObject({
  eta: z.number().min(0).max(1).default(0.1), // noise of the teacher's steps: 0 the ODE's, 1 the reverse SDE's; the paper tries 0 to 0.6
  noise: z.enum(["sde", "ddim"]).default("sde"), // how it is split off: the SDE solved over a step, or DDIM's eta
  subSteps: count.default(3), // the teacher's steps from the student's level to the target's (h)
  skip: z.number().positive().max(1).default(0.024), // share of the time between those levels
  targetDecay: fraction.default(0.95), // of the EMA that is the target
  boundary: z.enum(boundaryNames).default("edm"), // scalings that make the student the identity at the lowest level: edm, lcm, none
  distance: z.enum(["huber", "squared"]).default("huber"), // of prediction and target
  weighting: z.enum(["uniform", "snr"]).default("uniform"), // of levels: all alike, or min(SNR, snrMost)
  snrMost: rate.default(5),
  guidance: z
    .tuple([scale, scale])
    .refine(([least, most]) => least <= most, "two scales, the lesser first")
    .default([1, 1]), // of the teacher's steps, drawn a row; the student takes it in
  guidanceInput: z.boolean().default(false), // the scale is an input of the student, chosen when sampling
  sampleGuidance: scale.default(1), // the scale that it is sampled with then
  adversarialWeight: weight.default(0.4),
  adversarialStart: z.int().nonnegative().default(500), // steps of consistency alone before the discriminator joins
  discriminatorRate: rate.default(2e-4),
  discriminatorDepth: count.default(3), // DiT: how many of the teacher's blocks the discriminator keeps
  discriminatorNoise: z.tuple([rate, rate]).default([0.1, 2]), // least and most noise that it sees latents under, over sigmaData
  discriminatorRank: count.default(8), // of the LoRA on its trunk, which is frozen
  // Kernels of the trunk that have one: groups or patterns; the paper's are the decoder's.
  discriminatorTargets: z.array(z.string().min(1)).min(1).default(["."]),
  adapter: adapterSchema.default("all"), // what of the student is trained: all, {lora: {rank, alpha, targets}} or {only: [...]}
});
export type ScottSettings = z.infer<typeof settings>;
type Kit = AnyKit<ScottSettings>;
type ThisJob = Pick<Job<ScottSettings>, "settings" | "optimiser" | "subject">;

export const method: Method<ScottSettings> = {
  name: "scott",
  about: "consistency distillation by an SDE solver, with a discriminator on the frozen teacher",
  source: "Liu et al., SCott: Accelerating Diffusion Models with Stochastic Consistency Distillation, AAAI 2025 (arXiv 2403.01505)",
  makes: "student",
  settings,
  rules: stochasticFit,
  needs: ({ subSteps }) => ({ rows: "latents", frozen: ["teacher"], teacherCalls: subSteps }),
  student: ({ guidanceInput }, spec) => {
    if (!guidanceInput) return spec;
    if (spec.network.kind === "published") {
      throw badUsage("Cannot give a published network the guidance scale: it has no layer for it. Set train.scott.guidanceInput to false.");
    }
    return { ...spec, network: { ...spec.network, guidance: true } };
  },
  parts: ({ weights, seed, ...job }) => {
    const teacher = weights.teacher as Weights;
    const { settings: own, optimiser } = job;
    return {
      student: {
        from: own.guidanceInput ? () => extended(studentOf(job), teacher, seed) : "teacher",
        train: own.adapter,
        average: optimiser.ema,
        target: own.targetDecay,
      },
      ...(isAdversarial(job) && { discriminator: { from: () => discriminatorWeights(job, teacher, seed), train: "all" } }),
    };
  },
  programs: (kit) => ({
    consistency: studentUpdate(kit, { isPlaying: false }),
    ...(isAdversarial(kit) && { student: studentUpdate(kit, { isPlaying: true }), discriminator: discriminatorUpdate(kit) }),
  }),
  step,
  sampler: ({ guidanceInput, sampleGuidance }, { spec }) => {
    const level = levelAt(createParameterisation((spec as DenoiserSpec).diffusion));
    const levels = (calls: number): number[] => evenShares(calls).map(level);
    return renoisingSampler({ usual: 2, calls: [1, 2, 4, 8], levels, guidance: guidanceInput ? sampleGuidance : 1 });
  },
  figures: [
    { title: "Prediction and target", label: "distance", figures: { consistency: "consistency" }, log: true },
    { title: "The game", label: "negative logit", figures: { adversarial: "adversarial" } },
    ...discriminatorFigures,
  ],
  findings: adversarialFindings({
    saturated: "half of train.scott.discriminatorRate, or a lesser train.scott.discriminatorRank",
    swinging: "half of train.scott.discriminatorRate: its updates overshoot",
    collapsed: "less train.scott.adversarialWeight; the best step is kept (train.keep=best)",
    exploding: "half of train.scott.discriminatorRate",
  }),
};

const isAdversarial = ({ settings, optimiser }: ThisJob): boolean =>
  settings.adversarialWeight > 0 && settings.adversarialStart < optimiser.steps;
const isNoisy = ({ settings: { eta } }: ThisJob): boolean => eta > 0;
/** The guidance scale of all rows; undefined where each has its own. */
const oneScale = ({ settings: { guidance, guidanceInput } }: ThisJob): number | undefined =>
  guidance[0] === guidance[1] && !guidanceInput ? guidance[0] : undefined;
const drawNames = (job: ThisJob): string[] => (isNoisy(job) ? Array.from({ length: job.settings.subSteps }, (_, i) => `draw${i}`) : []);

type StudentInput = "clean" | "noise" | "levels" | "weight";

/** Consistency from a level down to that of the target, by the teacher's steps; against the discriminator as well. */
function studentUpdate(kit: Kit, { isPlaying }: { isPlaying: boolean }): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const [spec, student] = [teacherOf(kit), studentOf(kit)];
  const image = { shape: [batch, ...spec.shape] };
  const { diffusion } = spec;
  const rows = rowDistances[own.distance](spec.shape);
  const one = oneScale(kit);
  return {
    trains: "student",
    reads: ["teacher", "student.target", ...(isPlaying ? ["discriminator"] : [])],
    inputs: {
      clean: image,
      noise: image,
      levels: { shape: [batch, own.subSteps + 1] },
      weight: { shape: [batch] },
      ...Object.fromEntries(drawNames(kit).map((name) => [name, image])),
      ...(one === undefined && { guidance: { shape: [batch] } }),
      ...conditionInputs(student, batch),
      ...(isPlaying && disturbanceInputs(own.discriminatorNoise, spec, batch)),
    },
    ...(isPlaying && { leaves: { fake: image.shape } }),
    loss: (parameters, inputs, read): Losses => {
      const { disturbance, others } = disturbanceOf(inputs);
      const { clean, noise, levels, weight, ...given } = others as Record<string, Tensor> & Record<StudentInput, Tensor>;
      const ladder = columns(levels);
      const [from, to] = [ladder[0] as Tensor, ladder.at(-1) as Tensor];
      const above = noisedAt(clean, noise, from);
      const draws = drawNames(kit).map((name) => given[name] as Tensor);
      const below = teacherSteps({
        spec,
        parameters: read.teacher as Parameters,
        given,
        scale: one ?? (given.guidance as Tensor),
        x: above,
        levels: ladder,
        ...(isNoisy(kit) && { noises: { split: own.noise, eta: own.eta, draws } }),
      });
      const f = (of: Parameters) =>
        consistencyOf({ denoise: denoiserOf({ spec: student, parameters: of, given }), boundary: own.boundary, diffusion });
      const made = f(parameters)(above, from);
      const wanted = f(read["student.target"] as Parameters)(below, to);
      const consistency = tf.mean(tf.mul(rows(made, wanted), weight));
      if (!isPlaying) return { loss: consistency, metrics: { consistency } };
      const logits = judge(kit)(read.discriminator as Parameters, read.teacher as Parameters, { x: made, disturbance, given });
      const adversarial = games.hinge.generatorLoss(logits);
      return { ...weighted({ consistency: [consistency, 1], adversarial: [adversarial, own.adversarialWeight] }), left: { fake: made } };
    },
  };
}

/** The discriminator's LoRA, on its trunk alone: the heads over it are its own and trained whole. */
const loraOf = ({ settings: { discriminatorRank: rank, discriminatorTargets: targets } }: Pick<ThisJob, "settings">) => ({
  lora: { rank, alpha: rank, targets },
});

const criticOf = (job: ThisJob): UnpairedCritic => createUnpairedCritic({ spec: teacherOf(job), depth: job.settings.discriminatorDepth });

/** What of the discriminator is trained: its heads, and a LoRA for the trunk that stays the teacher's. */
function discriminatorWeights(job: ThisJob, teacher: Weights, seed: number): Weights {
  const all = Object.entries(criticOf(job).init(teacher, seed));
  const part = (isTrunk: boolean): Weights => Object.fromEntries(all.filter(([name]) => name in teacher === isTrunk));
  const { trained } = initAdapter({ weights: part(true), adapter: loraOf(job), groups: parameterGroups(teacherOf(job)), seed });
  return { ...part(false), ...trained };
}

/** Logits of latents, by the teacher's parameters with the discriminator's LoRA and heads. */
function judge(job: ThisJob) {
  const { logits } = criticOf(job);
  return (parameters: Parameters, teacher: Parameters, seen: UnpairedSeen): Tensor[] =>
    logits({ ...parameters, ...effective({ trained: parameters, frozen: teacher, adapter: loraOf(job) }) }, seen);
}

/** The images against what the student made of them in this step. */
function discriminatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const spec = teacherOf(kit);
  const logits = judge(kit);
  return {
    trains: "discriminator",
    reads: ["teacher"],
    inputs: {
      real: { shape: [batch, ...spec.shape] },
      ...conditionInputs(spec, batch),
      ...disturbanceInputs(own.discriminatorNoise, spec, batch),
    },
    takes: ["fake"],
    optimiser: { ...optimiser, learningRate: own.discriminatorRate, beta1: 0.5, beta2: 0.99, weightDecay: 0 },
    loss: (parameters, inputs, read) => {
      const { disturbance, others } = disturbanceOf(inputs);
      const { real: images, fake: made, ...given } = others as Record<string, Tensor> & Record<"real" | "fake", Tensor>;
      const judged = (x: Tensor): Tensor[] => logits(parameters, read.teacher as Parameters, { x, disturbance, given });
      const [real, fake] = [judged(images), judged(made)];
      return { loss: games.hinge.discriminatorLoss({ real, fake }), metrics: verdictsOf({ real, fake }) };
    },
  };
}

async function step({ step, latent, conditions }: Batch, job: Job<ScottSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch: rows, accumulate } = optimiser;
  const spec = teacherOf(job);
  const clean = latent as Float32Array;
  const level = levelAt(createParameterisation(spec.diffusion));
  const drawn = (name: string): Float32Array =>
    normals({ seed, stream: `scott/${name}`, offset: step * clean.length, length: clean.length });
  const shares = stratified({ seed, stream: "scott/time", offset: step * rows, length: rows, strata: rows / accumulate });
  const from = Array.from(shares, (share) => Math.max(share, LEAST_SHARE));
  const to = from.map((share) => Math.max(0, share - own.skip));
  const { sigmaData } = spec.diffusion;
  const weights = from.map((share) => (own.weighting === "snr" ? snrWeight(level(share) / sigmaData, own.snrMost) : 1));
  const [least, most] = own.guidance;
  const scales = uniforms({ seed, stream: "scott/guidance", offset: step * rows, length: rows });
  const given = { ...conditions, keep: new Float32Array(rows).fill(1) };
  const inputs = {
    ...given,
    clean,
    noise: drawn("noise"),
    levels: descents({ from, to, steps: own.subSteps, level }),
    weight: Float32Array.from(weights),
    ...Object.fromEntries(drawNames(job).map((name) => [name, drawn(name)])),
    ...(oneScale(job) === undefined && { guidance: Float32Array.from(scales, (u) => least + u * (most - least)) }),
  };
  if (!isAdversarial(job) || step < own.adversarialStart) return run("consistency", inputs);
  const disturbance = disturbances({ range: own.discriminatorNoise, spec, batch: rows, seed, step });
  const figures = await run("student", { ...inputs, ...disturbance });
  const judged = await run("discriminator", { ...given, ...disturbance, real: clean }, { updates: step - own.adversarialStart });
  return { ...figures, ...ofDiscriminator(judged) };
}

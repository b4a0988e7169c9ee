/**
 * YOSO: one denoiser for every level, whose predictions from less noisy levels are the real side of a game for those from
 * noisier ones (self-cooperation), held together by consistency and anchored to the data where little noise is left
 * (docs/METHODS.md 2). The student may first learn v-prediction and a schedule without terminal signal (2.4).
 *
 * Its sigma_t / alpha_t is our sigma over sigmaData: its latents have deviation 1, ours sigmaData. Times are shares of the
 * student's range, 0 clean and 1 the first level of sampling.
 */
import * as z from "zod";
import { stopGradient } from "../engine/ops.ts";
import { type Tensor, tf } from "../engine/tfjs.ts";
import { verdictsOf } from "../models/critics/critic.ts";
import { createPooledCritic } from "../models/critics/pooled.ts";
import { conditionInputs, type DenoiserSpec, initDenoiser } from "../models/denoiser.ts";
import { adaptedDiffusion } from "../models/diffusion/adaptation.ts";
import { numbers } from "../models/diffusion/arithmetic.ts";
import { boundedCoefficients, closenessWeight, snrWeight } from "../models/diffusion/consistency.ts";
import { evenShares, renoisingSampler } from "../models/diffusion/few-steps.ts";
import { conditionsOf } from "../models/diffusion/levels.ts";
import { createParameterisation } from "../models/diffusion/parameterisation.ts";
import { levelAt } from "../models/diffusion/schedule.ts";
import { predictedFrom, statesInputs, statesOf } from "../models/diffusion/states.ts";
import { vpSigma } from "../models/diffusion/vp-schedule.ts";
import type { Parameters } from "../models/layers.ts";
import { discriminatorLoss, generatorLoss, gradientPenalty, untouched } from "../models/losses/adversarial.ts";
import { augmentationDraws, DRAW_SIZE } from "../models/losses/augment.ts";
import { squaredErrors } from "../models/losses/difference.ts";
import { latentDistance } from "../models/losses/latent-distance.ts";
import { type Terms, weighted } from "../models/losses/terms.ts";
import { velocityInputs, velocityLoss, velocityStates } from "../models/losses/velocity.ts";
import { adapterSchema } from "../models/training/adapters.ts";
import { isPenalised, lazyShare, penaltyWeight, updatesBefore } from "../models/training/lazy.ts";
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import type { OptimiserSettings } from "../schemas/settings.ts";
import { count, fraction, rate, weight } from "../schemas/settings.ts";
import { cooperativeFit } from "./fit/cooperative.ts";
import {
  type Batch,
  type Inputs,
  type Job,
  type Kit as AnyKit,
  type Method,
  type Run,
  type Subject,
  type Update,
  studentOf,
  teacherOf,
} from "./method.ts";
import { adversarialFindings, discriminatorFigures, ofDiscriminator } from "./findings/adversarial.ts";

const settings = z.strictObject({
  data: z.enum(["images", "teacher"]).default("images"), // what is noised: real images (train.images), or a teacher's triples
  from: z.enum(["teacher", "scratch"]).default("teacher"), // the student's and the discriminator's weights at the first step
  adapt: z.enum(["none", "v", "v-zero"]).default("none"), // the student's own parameterisation: v, or v with zero terminal SNR
  vSteps: count.default(500), // first steps, by the teacher's v on the schedule it knows; the paper's two stages take about 1,000
  zeroSteps: count.default(500), // steps after these, on the schedule without terminal signal
  adversarial: z.enum(["cooperative", "data"]).default("cooperative"), // the real side: own predictions from less noise, or data
  adversarialWeight: weight.default(1),
  cooperation: fraction.default(0.25), // how much less noisy they are, as a share of the time range: 250 of 1000
  consistencyWeight: weight.default(2),
  consistencyLoss: z.enum(["perceptual", "squared"]).default("perceptual"), // through a frozen network's features, or of the latents
  consistencyStep: fraction.default(0.025), // how far consistency looks, as a share of the time range: 25 of 1000
  consistencyMost: rate.default(5), // most weight of a row: 1 / (difference of its two noise levels) up to this
  augment: z.boolean().default(false), // consistency's latents under the same random transform, as E-LatentLPIPS; not the paper's
  anchorWeight: weight.default(0.5),
  anchorMost: rate.default(5), // most weight of a row: its signal-to-noise ratio up to this
  startShare: fraction.default(0), // share of rows at the first level of sampling, begun as sampling begins; not the paper's
  prior: z.boolean().default(true), // sampling begins at the data's mean and deviation under noise, not at noise alone
  averageLogits: z.boolean().default(false), // the published script's: logits are averaged over the rows before the softplus
  discriminatorRate: rate.default(2e-4),
  r1Weight: weight.default(0), // gamma of R1 on the real side; not the paper's, and what small batches want
  r1Every: count.default(16),
  discriminatorDepth: count.default(3), // DiT: how many of the teacher's blocks the discriminator keeps
  adapter: adapterSchema.default("all"), // what of the student is trained: all, {lora: {rank, alpha, targets}} or {only: [...]}
});
type YosoSettings = z.infer<typeof settings>;
type Kit = AnyKit<YosoSettings>;
type ThisJob = Pick<Job<YosoSettings>, "settings" | "optimiser" | "subject">;

export const method: Method<YosoSettings> = {
  name: "yoso",
  about: "its own predictions from less noise are the real side; consistency, and an anchor to data",
  source: "Luo et al., You Only Sample Once: Taming One-Step Text-to-Image Synthesis by Self-Cooperative Diffusion GANs, ICLR 2025",
  makes: "student",
  settings,
  rules: cooperativeFit,
  needs: (own) => ({
    rows: own.data === "images" ? "latents" : "triples",
    frozen: ["teacher"],
    ...(looks(own) && { uses: ["perceptual"] }),
  }),
  student: ({ adapt }, spec) => (adapt === "none" ? spec : { ...spec, diffusion: adaptedDiffusion(spec.diffusion, adapt) }),
  parts: (kit) => {
    const { settings: own, optimiser, weights, seed } = kit;
    const fresh = own.from === "scratch";
    const trunk = () => (fresh ? initDenoiser(teacherOf(kit), seed) : (weights.teacher ?? {}));
    return {
      student: { from: fresh ? () => initDenoiser(studentOf(kit), seed) : "teacher", train: own.adapter, average: optimiser.ema },
      ...(plays(own) && { discriminator: { from: () => criticOf(kit).init(trunk(), seed), train: "all" } }),
    };
  },
  programs: (kit): Record<string, Update> => ({
    ...(adaptedSteps(kit.settings) > 0 && { adaptation: adaptationUpdate(kit) }),
    ...(plays(kit.settings) && { discriminator: discriminatorUpdate(kit) }),
    ...(hasPenalty(kit.settings) && { r1: r1Update(kit) }),
    generator: generatorUpdate(kit),
  }),
  step: (batch, job, run) => (batch.step < adaptedSteps(job.settings) ? adaptationStep : cooperativeStep)(batch, job, run),
  sampler: ({ prior }, subject) => {
    const levels = (calls: number): number[] => evenShares(calls).map(levelsOf(subject));
    return { ...renoisingSampler({ usual: 1, calls: [1, 2, 4], levels }), ...(prior && { prior: momentsOf(subject) }) };
  },
  figures: [
    {
      title: "Terms of the loss, unweighted",
      label: "loss",
      figures: { consistency: "consistency", anchor: "anchor", adversarial: "adversarial", velocity: "v of the adaptation" },
      log: true,
    },
    ...discriminatorFigures,
    { title: "R1 penalty", label: "squared gradient", figures: { r1: "R1" }, log: true, section: "discriminator" },
  ],
  rare: ["r1"],
  findings: adversarialFindings(
    {
      saturated: "half of discriminatorRate, more r1Weight, or less cooperation (all of train.yoso): the two sides are then nearer",
      swinging: "half of train.yoso.discriminatorRate, or some r1Weight: its updates overshoot",
      collapsed:
        "adversarial=cooperative, less adversarialWeight or more anchorWeight (of train.yoso); the best step is kept (train.keep=best)",
      exploding: "half of train.yoso.discriminatorRate, or less train.yoso.adversarialWeight",
    },
    ["r1"],
  ),
};

const plays = ({ adversarialWeight }: YosoSettings): boolean => adversarialWeight > 0;
/** Whether consistency is seen through features. */
const looks = ({ consistencyWeight, consistencyLoss }: YosoSettings): boolean => consistencyWeight > 0 && consistencyLoss === "perceptual";
const hasPenalty = (own: YosoSettings): boolean => plays(own) && own.r1Weight > 0;
const criticOf = ({ settings: { discriminatorDepth: depth }, ...job }: ThisJob) => createPooledCritic({ spec: teacherOf(job), depth });

/** Steps of the adaptation; a fresh student has nothing to be adapted. */
const adaptedSteps = ({ adapt, from, vSteps, zeroSteps }: YosoSettings): number =>
  adapt === "none" || from === "scratch" ? 0 : adapt === "v" ? vSteps : vSteps + zeroSteps;

/** Mean and standard deviation of the data by channel as the network has them: 0 and sigmaData, by normalisation. */
function momentsOf({ spec, moments }: Subject): { mean: number[]; std: number[] } {
  const { shape, diffusion } = spec as DenoiserSpec;
  const of = (value: number): number[] => Array<number>(shape[2]).fill(value);
  return moments ? { mean: [...moments.mean], std: [...moments.std] } : { mean: of(0), std: of(diffusion.sigmaData) };
}

/**
 * Noise levels by the student's time, from 0 at 0 to the first level of sampling at 1. A variance-preserving student has its own
 * schedule's, which is the paper's. Others have Stable Diffusion's over the data's deviation and so begin at 14.5 deviations, which a
 * prior makes up for: on EDM's own grid up to 160 deviations half of all levels lie above five, where all predictions are alike.
 */
function levelsOf(subject: Subject): (time: number) => number {
  const { diffusion } = studentOf({ subject });
  const parameterisation = createParameterisation(diffusion);
  const own = levelAt(parameterisation);
  const published = (time: number): number => Math.min(parameterisation.sigmaMax, diffusion.sigmaData * vpSigma(time));
  const level = parameterisation.name.startsWith("vp-") ? own : published;
  return (time) => (time <= 0 ? 0 : level(time));
}

/** What stands for real, and the inputs that it and its judgement are made from. */
function realSide(kit: Kit): { inputs: Inputs; of: (student: Parameters, inputs: Record<string, Tensor>) => Tensor } {
  const spec = studentOf(kit);
  const { batch } = kit.optimiser;
  const isCooperative = kit.settings.adversarial === "cooperative";
  const judged = { told: { shape: [batch] }, ...conditionInputs(spec, batch) };
  return {
    inputs: isCooperative ? { ...statesInputs(["coop"], spec, batch), ...judged } : { clean: { shape: [batch, ...spec.shape] }, ...judged },
    of: (student, inputs) =>
      isCooperative ? stopGradient(predictedFrom("coop", { spec, parameters: student, inputs })) : (inputs.clean as Tensor),
  };
}

/** What both updates of the discriminator share; `judge` answers its logits for latents under a program's inputs. */
function gameOf(kit: Kit) {
  const { settings: own, optimiser } = kit;
  const spec = studentOf(kit);
  const critic = criticOf(kit);
  const common = { trains: "discriminator", reads: ["student"], optimiser: discriminatorOptimiser(own, optimiser) };
  const judge = (parameters: Parameters, inputs: Record<string, Tensor>, x: Tensor): Tensor =>
    critic.logit(parameters, { x, noiseLevel: inputs.told as Tensor, given: conditionsOf(spec, inputs) });
  return { spec, common, judge, ...realSide(kit) };
}

/** R1 on the real side. */
function r1Update(kit: Kit): Update {
  const { settings: own } = kit;
  const { common, judge, inputs: ofReal, of } = gameOf(kit);
  return {
    ...common,
    inputs: ofReal,
    loss: (parameters, inputs, { student }) => {
      const discriminate = ([x]: Tensor[]): Tensor[] => [judge(parameters, inputs, x as Tensor)];
      const penalty = gradientPenalty({ at: [of(student as Parameters, inputs)], discriminate });
      const weighed = tf.mul(penalty, penaltyWeight(own.r1Weight, own.r1Every));
      return { loss: tf.add(weighed, untouched(parameters)), metrics: { penalty } };
    },
  };
}

/** Real against generated, each told the level that the generated one was made from; it goes before the generator. */
function discriminatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { spec, common, judge, inputs: ofReal, of } = gameOf(kit);
  return {
    ...common,
    inputs: { ...statesInputs(["fake"], spec, optimiser.batch), ...ofReal },
    loss: (parameters, inputs, { student }) => {
      const real = judge(parameters, inputs, of(student as Parameters, inputs));
      const made = predictedFrom("fake", { spec, parameters: student as Parameters, inputs });
      const fake = judge(parameters, inputs, stopGradient(made));
      return {
        loss: discriminatorLoss({ real: [inGame(own, real)], fake: [inGame(own, fake)] }),
        metrics: verdictsOf({ real: [real], fake: [fake] }),
      };
    },
  };
}

/** Logits as the game takes them. */
const inGame = ({ averageLogits }: YosoSettings, logits: Tensor): Tensor => (averageLogits ? tf.mean(logits) : logits);

/** AdamW without momentum, as published; slowed where lazy regularisation adds updates. */
function discriminatorOptimiser(own: YosoSettings, optimiser: OptimiserSettings): Update["optimiser"] {
  const share = hasPenalty(own) ? lazyShare(own.r1Every) : 1;
  return { ...optimiser, learningRate: own.discriminatorRate * share, beta1: 0, beta2: 0.999 ** share };
}

/** Consistency, anchor and the game. */
function generatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser, subject } = kit;
  const { batch } = optimiser;
  const [spec, teacher] = [studentOf(kit), teacherOf(kit)];
  const { sigmaData } = teacher.diffusion;
  const image = { shape: [batch, ...spec.shape] };
  const perRow = { shape: [batch] };
  const { role: features, rows } = latentDistance({ spec: teacher, perceptual: subject.perceptual });
  const inUnits = (a: Tensor, b: Tensor): Tensor => tf.div(squaredErrors(a, b), sigmaData ** 2); // of latents of deviation 1
  const critic = plays(own) ? criticOf(kit) : undefined;
  const isConsistent = own.consistencyWeight > 0;
  return {
    trains: "student",
    reads: [...(looks(own) ? [features] : []), ...(critic ? ["discriminator"] : [])],
    inputs: {
      ...statesInputs(["fake", ...(isConsistent ? ["cons"] : [])], spec, batch),
      ...(isConsistent && { consistency: perRow }),
      ...(looks(own) && own.augment && { draws: { shape: [batch, DRAW_SIZE] } }),
      ...(own.anchorWeight > 0 && { clean: image, anchor: perRow }),
      ...(critic && { told: perRow }),
      ...conditionInputs(spec, batch),
    },
    loss: (parameters, inputs, read) => {
      const given = conditionsOf(spec, inputs);
      const fake = predictedFrom("fake", { spec, parameters, inputs });
      const terms: Terms = {};
      const weighed = (name: "consistency" | "anchor", distances: Tensor): Tensor => tf.mean(tf.mul(distances, inputs[name] as Tensor));
      if (isConsistent) {
        const cons = stopGradient(predictedFrom("cons", { spec, parameters, inputs }));
        const distances = looks(own) ? rows(fake, cons, read[features] as Parameters, inputs.draws) : inUnits(fake, cons);
        terms.consistency = [weighed("consistency", distances), own.consistencyWeight];
      }
      if (own.anchorWeight > 0) {
        terms.anchor = [weighed("anchor", inUnits(fake, inputs.clean as Tensor)), own.anchorWeight];
      }
      if (critic) {
        const logits = critic.logit(read.discriminator as Parameters, { x: fake, noiseLevel: inputs.told as Tensor, given });
        terms.adversarial = [generatorLoss([inGame(own, logits)]), own.adversarialWeight];
      }
      return weighted(terms);
    },
  };
}

async function cooperativeStep({ step, latent, conditions }: Batch, job: Job<YosoSettings>, run: Run) {
  const { settings: own, optimiser, seed, subject } = job;
  const { batch } = optimiser;
  const clean = latent as Float32Array;
  const size = clean.length / batch;
  const draw = (stream: string) => normals({ seed, stream: `yoso/${stream}`, offset: step * clean.length, length: clean.length });
  const drawn = (stream: string) => uniforms({ seed, stream: `yoso/${stream}`, offset: step * batch, length: batch });
  const noise = draw("noise");
  const starts = Array.from(drawn("start"), (u) => u < own.startShare);
  const times = Array.from(drawn("time"), (u, row) => (starts[row] ? 1 : u));
  // A row that begins as sampling begins has the prior in the place of a latent, and so has what it is consistent with.
  const begun = starts.some(Boolean) ? begunRows({ clean, starts, draws: draw("prior"), moments: momentsOf(subject) }) : clean;

  const { shape, diffusion } = studentOf(job);
  const { sigmaData } = diffusion;
  const [levels, coefficients] = [levelsOf(subject), boundedCoefficients(diffusion)];
  const back = (by: number): number[] => times.map((time) => levels(Math.max(0, time - by)));
  const [sigmas, before] = [back(0), back(own.consistencyStep)];
  const states = (name: string, of: Float32Array, at: readonly number[]) => {
    const x = of.map((value, i) => value + (at[Math.floor(i / size)] as number) * (noise[i] as number));
    return statesOf(name, x, at.map(coefficients));
  };
  const given = { ...conditions, keep: new Float32Array(batch).fill(1) };
  const fake = states("fake", begun, sigmas);
  const teacher = createParameterisation(teacherOf(job).diffusion);
  const known = sigmas.map((sigma) => Math.min(teacher.sigmaMax, Math.max(teacher.sigmaMin, sigma)));
  const judged = plays(own) && { told: Float32Array.from(known, (sigma) => teacher.precondition(sigma, numbers).cNoise) };

  const figures: Record<string, number> = {};
  if (judged) {
    const real = own.adversarial === "data" ? { clean } : states("coop", clean, back(own.cooperation));
    const since = step - adaptedSteps(own);
    const updates = hasPenalty(own) ? updatesBefore(since, own.r1Every) : since;
    const verdict = await run("discriminator", { ...fake, ...real, ...judged, ...given }, { updates });
    Object.assign(figures, ofDiscriminator(verdict));
    const penalised = hasPenalty(own) && isPenalised(since, own.r1Every);
    if (penalised) figures.r1 = (await run("r1", { ...real, ...judged, ...given }, { updates: updates + 1 })).penalty as number;
  }
  const [height, width] = shape;
  const consistency = Float32Array.from(sigmas, (sigma, row) => closenessWeight((sigma - before[row]!) / sigmaData, own.consistencyMost));
  const anchor = Float32Array.from(sigmas, (sigma, row) => (starts[row] ? 0 : snrWeight(sigma / sigmaData, own.anchorMost)));
  const made = await run("generator", {
    ...fake,
    ...judged,
    ...given,
    ...(own.consistencyWeight > 0 && { ...states("cons", begun, before), consistency }),
    ...(looks(own) && own.augment && { draws: augmentationDraws({ seed, step, batch, height, width }) }),
    ...(own.anchorWeight > 0 && { clean, anchor }),
  });
  return { ...made, ...figures };
}

/** Rows of latents, those that `starts` replaced by mean + std n by channel. */
function begunRows(options: {
  clean: Float32Array;
  starts: readonly boolean[];
  draws: Float32Array;
  moments: { mean: number[]; std: number[] };
}): Float32Array {
  const { clean, starts, draws, moments } = options;
  const [size, channels] = [clean.length / starts.length, moments.mean.length];
  return clean.map((value, i) =>
    starts[Math.floor(i / size)] ? moments.mean[i % channels]! + moments.std[i % channels]! * (draws[i] as number) : value,
  );
}

/** The quick adaptation: the student's network against v of the teacher's clean prediction. */
function adaptationUpdate(kit: Kit): Update {
  const [spec, teacher] = [studentOf(kit), teacherOf(kit)];
  return {
    trains: "student",
    reads: ["teacher"],
    inputs: velocityInputs(spec, kit.optimiser.batch),
    loss: (parameters, inputs, read) => {
      const frozen = { spec: teacher, parameters: read.teacher as Parameters };
      const velocity = velocityLoss({ student: { spec, parameters }, teacher: frozen, inputs });
      return { loss: velocity, metrics: { velocity } };
    },
  };
}

async function adaptationStep({ step, latent, conditions }: Batch, job: Job<YosoSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch } = optimiser;
  const clean = latent as Float32Array;
  const states = velocityStates({
    teacher: teacherOf(job).diffusion,
    schedule: step < own.vSteps ? "v" : "v-zero",
    times: uniforms({ seed, stream: "yoso/time", offset: step * batch, length: batch }),
    clean,
    noise: normals({ seed, stream: "yoso/noise", offset: step * clean.length, length: clean.length }),
  });
  return run("adaptation", { ...states, ...conditions, keep: new Float32Array(batch).fill(1) });
}

/**
 * MLCM and TLCM: a student of few steps, consistent first within segments of the time and then over the whole of it, without data:
 * its states are reached from pure noise by coarse steps of the teacher, or are its own samples (docs/METHODS.md 6). States may
 * also come from images, or from the trajectories of a store. The last stage matches distributions and plays a game (9.10).
 */
import * as z from "zod";
import { type Tensor, tf } from "../engine/tfjs.ts";
import { createUnpairedCritic, verdictsOf } from "../models/critics/critic.ts";
import { disturbanceInputs, disturbanceOf, disturbances } from "../models/critics/disturbance.ts";
import { conditionInputs, type DenoiserSpec } from "../models/denoiser.ts";
import { walked, walkLevels } from "../models/diffusion/coarse-walk.ts";
import { tensors } from "../models/diffusion/arithmetic.ts";
import { fewShares, noisedAt, renoised, renoisingSampler } from "../models/diffusion/few-steps.ts";
import { ladderOf, pairedStates, pairsAt } from "../models/diffusion/ladder.ts";
import { conditionsOf, denoiserOf } from "../models/diffusion/levels.ts";
import { denoisingLoss, noisedInputs } from "../models/diffusion/noised.ts";
import { createParameterisation, noiseLevels, type Parameterisation } from "../models/diffusion/parameterisation.ts";
import { descents, LEAST_SHARE, levelAt } from "../models/diffusion/schedule.ts";
import { teacherSamples } from "../models/diffusion/teacher-samples.ts";
import { lineStep, teacherSteps } from "../models/diffusion/teacher-step.ts";
import { columns, type Parameters, spread } from "../models/layers.ts";
import { discriminatorLoss, generatorLoss } from "../models/losses/adversarial.ts";
import { createAgreement } from "../models/losses/agreement.ts";
import { augmentationDraws } from "../models/losses/augment.ts";
import { matchingLoss } from "../models/losses/distribution-matching.ts";
import { weighted } from "../models/losses/terms.ts";
import { adapterSchema } from "../models/training/adapters.ts";
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import { stratified } from "../schemas/numbers/strata.ts";
import { count, fraction, rate, weight } from "../schemas/settings.ts";
import { type Kit as AnyKit, type Batch, type Job, type Method, type Run, type Update, teacherOf } from "./method.ts";
import { adversarialFindings, discriminatorFigures, ofDiscriminator } from "./findings/adversarial.ts";
import { segmentsFit } from "./fit/segments.ts";
import { elements } from "../engine/weights.ts";

const settings = z.strictObject({
  // Where states come from. denoise: several coarse teacher steps from noise; single: one; images: train.images under noise;
  // trajectory: the teacher's states in the store, whose neighbours then stand for its steps.
  start: z.enum(["denoise", "single", "images", "trajectory"]).default("denoise"),
  segments: z.array(count).min(1).default([8]), // of the time, each consistent in itself; several numbers: in turn (MLCM: many to few)
  skip: z.number().positive().max(1).default(0.03), // share of the time between the two states that are to agree; the paper's is 0.02
  skipSteps: count.default(2), // the teacher's steps from one to the other; the paper's is 1
  solver: z.enum(["ddim", "dpm++2m"]).default("dpm++2m"), // of the teacher's steps; the paper's ddim loses a fifth of the variance
  guidance: z.number().nonnegative().default(1), // of the teacher's steps, which the student takes in; the paper's is 8
  secondPart: fraction.default(0.5), // last part of the steps, in which predictions agree over the whole time
  ownSteps: count.default(4), // in it: calls in which the student makes the samples that are noised again
  teacherSteps: count.default(4), // in it: the teacher's steps from one milestone to the next; the paper's is 3
  lastPart: fraction.default(0), // last part of the steps, in which distributions are matched and a discriminator plays too
  distance: z.enum(["squared", "huber"]).default("squared"), // of what is to agree
  perceptualWeight: weight.default(0), // of the latent perceptual distance beside it
  matchingWeight: weight.default(1), // last stage: distribution matching
  scoreRate: rate.default(1e-4), // its denoiser of the student's samples
  scoreUpdates: count.default(2), // that one's updates a step
  adversarialWeight: weight.default(0.05), // last stage: the game
  discriminatorRate: rate.default(1e-4),
  discriminatorDepth: count.default(3), // DiT: how many of the teacher's blocks the discriminator keeps
  discriminatorNoise: z.tuple([rate, rate]).default([0.1, 2]), // least and most noise that it sees latents under, over sigmaData
  realSteps: count.default(8), // the teacher's steps to the samples it takes for real, where states come from noise
  adapter: adapterSchema.default("all"), // what of the student is trained: all, {lora: {rank, alpha, targets}} or {only: [...]}
});
export type TlcmSettings = z.infer<typeof settings>;
type Kit = AnyKit<TlcmSettings>;
type ThisJob = Pick<Job<TlcmSettings>, "settings" | "optimiser" | "subject">;

/** Evaluations of the teacher a row, on average: to a state and on to its partner in the first part, between milestones in the second. */
function teacherCalls({ start, segments, skipSteps, teacherSteps, secondPart }: TlcmSettings): number {
  if (start === "trajectory") return 0;
  const walks = segments.map((count) => (count - 1) / 2); // to a segment drawn evenly, a step for each above it
  const walk = { denoise: walks.reduce((sum, steps) => sum + steps, 0) / walks.length, single: 1, images: 0 }[start];
  return (1 - secondPart) * (walk + skipSteps) + secondPart * teacherSteps;
}

export const method: Method<TlcmSettings> = {
  name: "tlcm",
  about: "a student of 1 to 8 steps, consistent within segments and then throughout; no data needed",
  source: "Xie et al., TLCM: Training-efficient Latent Consistency Model for Image Generation with 2-8 Steps, 2024 (arXiv 2406.05768)",
  makes: "student",
  settings,
  rules: segmentsFit,
  needs: (own) => ({
    rows: own.start === "images" ? "latents" : own.start === "trajectory" ? "triples" : "none",
    ...(own.start === "trajectory" && { trajectory: true }),
    frozen: ["teacher"],
    ...(own.perceptualWeight > 0 && { uses: ["perceptual"] }),
    teacherCalls: teacherCalls(own),
  }),
  parts: ({ weights, seed, ...job }) => ({
    student: { from: "teacher", train: job.settings.adapter, average: job.optimiser.ema },
    ...(isMatched(job) && { score: { from: "teacher", train: "all" } }),
    ...(isPlayed(job) && { discriminator: { from: () => criticOf(job).init(weights.teacher ?? {}, seed), train: "all" } }),
  }),
  programs: (kit) => ({
    segments: segmentsUpdate(kit),
    whole: wholeUpdate(kit, { isLast: false }),
    ...(hasLast(kit) && { last: wholeUpdate(kit, { isLast: true }) }),
    ...(isMatched(kit) && { score: scoreUpdate(kit) }),
    ...(isPlayed(kit) && { discriminator: discriminatorUpdate(kit) }),
  }),
  step,
  sampler: (own, { spec, trajectory }) => {
    const levels = fewLevels(own, createParameterisation((spec as DenoiserSpec).diffusion), trajectory);
    return renoisingSampler({ usual: 4, calls: [1, 2, 3, 4, 5, 6, 7, 8], levels });
  },
  figures: [
    {
      title: "Disagreement of predictions",
      label: "distance",
      figures: { segments: "within segments", whole: "over the whole time", perceptual: "perceptual" },
      log: true,
    },
    { title: "Distribution matching", label: "loss", figures: { matching: "matching", score: "the samples' denoiser" }, log: true },
    { title: "The game", label: "loss", figures: { adversarial: "adversarial" } },
    ...discriminatorFigures,
  ],
  findings: adversarialFindings({
    saturated: "half of train.tlcm.discriminatorRate, or more of train.tlcm.discriminatorNoise",
    swinging: "half of train.tlcm.discriminatorRate: its updates overshoot",
    collapsed: "less adversarialWeight, or a shorter lastPart (of train.tlcm); the best step is kept (train.keep=best)",
    exploding: "half of train.tlcm.discriminatorRate",
  }),
};

const hasLast = ({ settings: { lastPart } }: ThisJob): boolean => lastPart > 0;
const isMatched = (job: ThisJob): boolean => hasLast(job) && job.settings.matchingWeight > 0;
const isPlayed = (job: ThisJob): boolean => hasLast(job) && job.settings.adversarialWeight > 0;
const isFromNoise = ({ settings: { start } }: ThisJob): boolean => start === "denoise" || start === "single";

/** The stage of a step: within segments, over the whole time, or that with matching and a game. */
function stageOf(step: number, { settings: { secondPart, lastPart }, optimiser: { steps } }: ThisJob): "segments" | "whole" | "last" {
  if (step >= steps * (1 - lastPart)) return "last";
  return step >= steps * (1 - secondPart) ? "whole" : "segments";
}

/** The noise levels at which the student is asked in so many calls: of a store's trajectory its milestones alone, which may be fewer. */
function fewLevels({ start, segments }: TlcmSettings, parameterisation: Parameterisation, trajectory: readonly number[] = []) {
  const exact = (calls: number): number[] => fewShares(calls).map(levelAt(parameterisation));
  if (start !== "trajectory") return exact;
  const { sigmas, ends } = ladderOf(parameterisation, trajectory);
  const stops = [0, ...ends(Math.max(...segments)).slice(0, -1)].map((rung) => sigmas[rung] as number);
  const apart = (a: number, b: number): number => Math.abs(parameterisation.timeOf(a) - parameterisation.timeOf(b));
  const nearest = (sigma: number): number => stops.reduce((best, stop) => (apart(stop, sigma) < apart(best, sigma) ? stop : best));
  return (calls: number): number[] => [...new Set(exact(calls).map(nearest))];
}

/** Coarse steps of the walk from noise to the lowest states. */
const walkSteps = ({ settings: { start, segments } }: ThisJob): number => (start === "single" ? 1 : Math.max(...segments));

type Image = { shape: number[] };
const imageOf = (job: ThisJob): Image => ({ shape: [job.optimiser.batch, ...teacherOf(job).shape] });
const levelsOf = (job: ThisJob, width: number): Image => ({ shape: [job.optimiser.batch, width] });

const ends = (ladder: readonly Tensor[]): [Tensor, Tensor] => [ladder[0] as Tensor, ladder.at(-1) as Tensor];
const solverOf = ({ solver }: TlcmSettings): "line" | "dpm++2m" => (solver === "ddim" ? "line" : solver);

type Given = Record<string, Tensor>;

/** What two predictions are to agree by. */
const agreementOf = ({ settings: { distance, perceptualWeight }, optimiser: { batch }, ...kit }: Kit) =>
  createAgreement({ spec: teacherOf(kit), perceptual: kit.subject.perceptual, distance, perceptualWeight, batch });

/** Consistency within segments: from both states one line step by the student's prediction to the segment's start. */
function segmentsUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const spec = teacherOf(kit);
  const image = imageOf(kit);
  const agree = agreementOf(kit);
  const isStored = own.start === "trajectory";
  return {
    trains: "student",
    reads: ["teacher", "student", ...agree.reads],
    inputs: {
      down: levelsOf(kit, isStored ? 2 : own.skipSteps + 1),
      start: { shape: [batch] },
      ...conditionInputs(spec, batch),
      ...agree.inputs,
      ...(isStored ? { state: image, next: image } : { noise: image }),
      ...(own.start === "images" && { clean: image }),
      ...(isFromNoise(kit) && { walk: levelsOf(kit, walkSteps(kit) + 1) }),
    },
    loss: (parameters, inputs, read) => {
      const { down, start, state, next, clean, noise, walk, draws, ...given } = inputs as Given & Record<"down" | "start", Tensor>;
      const ladder = columns(down);
      const [from, to] = ends(ladder);
      const teacher = { spec, parameters: read.teacher as Parameters, scale: own.guidance };
      const walking = (): Tensor =>
        walked({
          start: tf.mul(noise as Tensor, topOf(spec)),
          walk: walk as Tensor,
          step: ({ x, from, to, rows }) => teacherSteps({ ...teacher, given: conditionsOf(spec, given, rows), x, levels: [from, to] }),
        });
      const above = state ?? (clean ? noisedAt(clean, noise as Tensor, from) : walking());
      const below = next ?? teacherSteps({ ...teacher, given, solver: solverOf(own), x: above, levels: ladder });
      const landing = (of: Parameters, x: Tensor, sigma: Tensor): Tensor =>
        lineStep({ x, clean: denoiserOf({ spec, parameters: of, given })(x, sigma), from: spread(sigma), to: spread(start) }, tensors);
      const [a, b] = [landing(parameters, above, from), landing(read.student as Parameters, below, to)];
      return weighted(agree.terms("segments", { a, b, sigma: start, draws, read }));
    },
  };
}

const topOf = (spec: DenoiserSpec): number => createParameterisation(spec.diffusion).sigmaMax;

/** Draws of noise that the second stage takes: one for each of the student's own calls, and one for the state. */
const ownDraws = (kit: ThisJob): string[] => (isFromNoise(kit) ? Array.from({ length: kit.settings.ownSteps }, (_, i) => `own${i}`) : []);

/** Consistency from milestone to milestone over the whole time; in the last stage with distribution matching and the game. */
function wholeUpdate(kit: Kit, { isLast }: { isLast: boolean }): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const spec = teacherOf(kit);
  const parameterisation = createParameterisation(spec.diffusion);
  const image = imageOf(kit);
  const agree = agreementOf(kit);
  const [matches, plays] = [isLast && isMatched(kit), isLast && isPlayed(kit)];
  const isStored = own.start === "trajectory";
  const levels = fewShares(own.ownSteps).map(levelAt(parameterisation));
  return {
    trains: "student",
    reads: ["teacher", "student", ...agree.reads, ...(matches ? ["score"] : []), ...(plays ? ["discriminator"] : [])],
    inputs: {
      down: levelsOf(kit, isStored ? 2 : own.teacherSteps + 1),
      ...conditionInputs(spec, batch),
      ...agree.inputs,
      ...(isStored ? { state: image, next: image } : { noise: image }),
      ...(own.start === "images" && { clean: image }),
      ...Object.fromEntries(ownDraws(kit).map((name) => [name, image])),
      ...(matches && { matchNoise: image, matchSigma: { shape: [batch] } }),
      ...(plays && disturbanceInputs(own.discriminatorNoise, spec, batch)),
    },
    ...(isLast && { leaves: { fake: image.shape } }),
    loss: (parameters, inputs, read) => {
      const { disturbance, others } = disturbanceOf(inputs);
      const { down, state, next, clean, noise, matchNoise, matchSigma, draws, ...rest } = others as Given & Record<"down", Tensor>;
      const given = conditionsOf(spec, rest);
      const student = denoiserOf({ spec, parameters: read.student as Parameters, given });
      const ladder = columns(down);
      const [from, to] = ends(ladder);
      const sample = (): Tensor => renoised({ predict: student, levels, draws: ownDraws(kit).map((name) => rest[name] as Tensor) });
      const above = state ?? noisedAt(clean ?? sample(), noise as Tensor, from);
      const teacher = { spec, parameters: read.teacher as Parameters, given };
      const solver = solverOf(own);
      const below = next ?? teacherSteps({ ...teacher, scale: own.guidance, solver, x: above, levels: ladder });
      const made = denoiserOf({ spec, parameters, given })(above, from);
      const terms = agree.terms("whole", { a: made, b: student(below, to), draws, read });
      if (matches) {
        const x = noisedAt(made, matchNoise as Tensor, matchSigma as Tensor);
        const real = denoiserOf({ ...teacher, scale: own.guidance })(x, matchSigma as Tensor);
        const fake = denoiserOf({ spec, parameters: read.score as Parameters, given })(x, matchSigma as Tensor);
        terms.matching = [matchingLoss({ x: made, real, fake }), own.matchingWeight];
      }
      if (plays) {
        const logits = criticOf(kit).logits(read.discriminator as Parameters, { x: made, disturbance, given });
        terms.adversarial = [generatorLoss(logits), own.adversarialWeight];
      }
      return { ...weighted(terms), ...(isLast && { left: { fake: made } }) };
    },
  };
}

/** The denoiser of the student's samples, on those of this step under noise. */
function scoreUpdate(kit: Kit): Update {
  const spec = teacherOf(kit);
  const { clean: _, ...inputs } = noisedInputs(spec, kit.optimiser.batch);
  return {
    trains: "score",
    inputs,
    takes: ["fake"],
    optimiser: { ...kit.optimiser, learningRate: kit.settings.scoreRate, weightDecay: 0 },
    loss: (parameters, { fake, ...inputs }) => ({
      loss: denoisingLoss(spec, parameters, { ...inputs, clean: fake as Tensor }),
      metrics: {},
    }),
  };
}

const criticOf = (job: ThisJob) => createUnpairedCritic({ spec: teacherOf(job), depth: job.settings.discriminatorDepth });

/** The teacher's samples, images, or a store's results, against what the student made in this step. */
function discriminatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const spec = teacherOf(kit);
  const image = imageOf(kit);
  const isMade = isFromNoise(kit);
  const { logits } = criticOf(kit);
  return {
    trains: "discriminator",
    reads: isMade ? ["teacher"] : [],
    inputs: { real: image, ...conditionInputs(spec, batch), ...disturbanceInputs(own.discriminatorNoise, spec, batch) },
    takes: ["fake"],
    optimiser: { ...optimiser, learningRate: own.discriminatorRate, beta1: 0.5, beta2: 0.99, weightDecay: 0 },
    loss: (parameters, inputs, read) => {
      const { disturbance, others } = disturbanceOf(inputs);
      const { real: shown, fake: made, ...given } = others as Given & Record<"real" | "fake", Tensor>;
      const teacher = { spec, parameters: read.teacher as Parameters, given, scale: own.guidance };
      const latents = isMade ? teacherSamples({ ...teacher, noise: shown, steps: own.realSteps }) : shown;
      const [real, fake] = [latents, made].map((x) => logits(parameters, { x, disturbance, given })) as [Tensor[], Tensor[]];
      return { loss: discriminatorLoss({ real, fake }), metrics: verdictsOf({ real, fake }) };
    },
  };
}

async function step(batch: Batch, job: Job<TlcmSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { step, conditions } = batch;
  const { batch: rows } = optimiser;
  const spec = teacherOf(job);
  const [height, width] = spec.shape;
  const size = elements(spec.shape);
  const parameterisation = createParameterisation(spec.diffusion);
  const stage = stageOf(step, job);
  const drawn = (name: string, at = step): Float32Array =>
    normals({ seed, stream: `tlcm/${name}`, offset: at * rows * size, length: rows * size });
  const given = { ...conditions, keep: new Float32Array(rows).fill(1) };
  const common = { ...given, ...(own.perceptualWeight > 0 && { draws: augmentationDraws({ seed, step, batch: rows, height, width }) }) };
  const noise = own.start !== "trajectory" && { noise: drawn("noise") };
  const clean = own.start === "images" && { clean: batch.latent as Float32Array };
  const states = statesOf(batch, job, stage);
  if (stage === "segments") return run("segments", { ...common, ...noise, ...clean, ...states });

  const owns = Object.fromEntries(ownDraws(job).map((name) => [name, drawn(name)]));
  const second = { ...common, ...noise, ...clean, ...owns, ...states };
  if (stage === "whole") return run("whole", second);

  const levels = levelAt(parameterisation);
  const middle = (stream: string, at: number): Float64Array =>
    Float64Array.from(uniforms({ seed, stream, offset: at * rows, length: rows }), (u) => levels(0.02 + 0.96 * u));
  const disturbance = isPlayed(job) ? disturbances({ range: own.discriminatorNoise, spec, batch: rows, seed, step }) : {};
  const matching = isMatched(job) && { matchNoise: drawn("match"), matchSigma: Float32Array.from(middle("tlcm/match-sigma", step)) };
  const figures = await run("last", { ...second, ...disturbance, ...matching });
  const since = step - Math.ceil(optimiser.steps * (1 - own.lastPart));
  for (let i = 0; isMatched(job) && i < own.scoreUpdates; i++) {
    const updates = since * own.scoreUpdates + i;
    const under = noiseLevels(parameterisation, middle("tlcm/score-sigma", updates));
    const { loss } = await run("score", { ...given, ...under, noise: drawn("score", updates) }, { updates });
    figures.score = loss as number;
  }
  if (!isPlayed(job)) return figures;
  const real = isFromNoise(job) ? drawn("real") : (batch.latent as Float32Array);
  const judged = await run("discriminator", { ...given, ...disturbance, real }, { updates: since });
  return { ...figures, ...ofDiscriminator(judged) };
}

/** How many segments there are in a step of the first stage. */
function segmentsAt(step: number, { settings: { segments, secondPart, lastPart }, optimiser: { steps } }: ThisJob): number {
  const share = step / (steps * (1 - Math.max(secondPart, lastPart)));
  return segments[Math.min(segments.length - 1, Math.floor(share * segments.length))] as number;
}

/** The noise levels of a step's states, and the states themselves where a store has them. Rows stand in rising order of their time. */
function statesOf(batch: Batch, job: Job<TlcmSettings>, stage: ReturnType<typeof stageOf>): Record<string, Float32Array> {
  const { settings: own, optimiser, seed } = job;
  const { batch: rows, accumulate } = optimiser;
  const parameterisation = createParameterisation(teacherOf(job).diffusion);
  const strata = rows / accumulate; // each micro-batch covers the whole time
  const shares = Array.from(stratified({ seed, stream: "tlcm/time", offset: batch.step * rows, length: rows, strata }));
  if (own.start === "trajectory") return storedStates(batch, job, { stage, shares });
  const level = levelAt(parameterisation);
  if (stage === "segments") {
    const segments = segmentsAt(batch.step, job);
    const starts = shares.map((share) => Math.floor(share * segments) / segments);
    const above = shares.map((share, row) => Math.max(share, (starts[row] as number) + LEAST_SHARE));
    const below = above.map((share, row) => Math.max(starts[row] as number, share - own.skip));
    return {
      down: descents({ from: above, to: below, steps: own.skipSteps, level }),
      start: Float32Array.from(starts, level),
      ...(isFromNoise(job) && { walk: walkLevels({ shares: above, rows: strata, steps: walkSteps(job), levelAt: level }) }),
    };
  }
  const milestones = Math.max(...own.segments);
  const above = shares.map((share) => (Math.floor(share * milestones) + 1) / milestones);
  const below = above.map((share) => Math.max(0, share - 1 / milestones));
  return { down: descents({ from: above, to: below, steps: own.teacherSteps, level }) };
}

/** Two rungs of the store's ladder for each row: neighbours in the first stage, milestones after it. */
function storedStates(
  batch: Batch,
  job: Job<TlcmSettings>,
  { stage, shares }: { stage: string; shares: number[] },
): Record<string, Float32Array> {
  const ladder = ladderOf(createParameterisation(teacherOf(job).diffusion), job.subject.trajectory ?? []);
  const { sigmas, ends } = ladder;
  if (stage !== "segments") {
    const milestones = ends(Math.max(...job.settings.segments));
    return pairedStates(ladder, batch, pairsAt(shares, { upper: [0, ...milestones.slice(0, -1)], lower: milestones }));
  }
  const rungs = sigmas.map((_, rung) => rung);
  const neighbours = pairsAt(shares, { upper: rungs.slice(0, -1), lower: rungs.slice(1) });
  const stops = ends(segmentsAt(batch.step, job));
  const start = neighbours.lower.map((rung) => sigmas[stops.find((end) => end >= rung) as number] as number);
  return { ...pairedStates(ladder, batch, neighbours), start: Float32Array.from(start) };
}

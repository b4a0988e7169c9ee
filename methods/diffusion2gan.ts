/**
 * Diffusion2GAN: the student regresses the teacher's ODE results under a perceptual distance of latents (E-LatentLPIPS) and
 * plays against a discriminator that starts as the teacher, sees noise and condition, reads several scales and judges
 * mismatched pairs too (docs/METHODS.md 1). `discriminator: features` is Projected GAN's and D2O's (docs/METHODS.md 3.4).
 */
import * as z from "zod";
import { type Tensor, tf } from "../engine/tfjs.ts";
import { createCritic, verdicts } from "../models/critics/critic.ts";
import { disturbanceInputs, disturbanceOf, disturbances, inputsApart } from "../models/critics/disturbance.ts";
import { conditionInputs, type DenoiserSpec } from "../models/denoiser.ts";
import { generate } from "../models/diffusion/one-step.ts";
import type { Parameters } from "../models/layers.ts";
import { discriminatorLoss, generatorLoss, mismatchMask, mixAndMatch, r1Penalty, untouched } from "../models/losses/adversarial.ts";
import { augmentationDraws, DRAW_SIZE } from "../models/losses/augment.ts";
import { pseudoHuber, squaredError } from "../models/losses/difference.ts";
import { latentDistance } from "../models/losses/latent-distance.ts";
import { type Terms, weighted } from "../models/losses/terms.ts";
import { adapterSchema } from "../models/training/adapters.ts";
import { isPenalised, lazyShare, penaltyWeight, updatesBefore } from "../models/training/lazy.ts";
import { count, fraction, type OptimiserSettings, rate, weight } from "../schemas/settings.ts";
import { type Kit as AnyKit, type Batch, type Inputs, type Job, type Method, type Run, type Update, teacherOf } from "./method.ts";
import { adversarialFindings, discriminatorFigures, ofDiscriminator } from "./findings/adversarial.ts";
import { adapterFit } from "./fit/adapter.ts";
import { adversarialFit } from "./fit/adversarial.ts";

const noiseRange = z
  .tuple([z.number().nonnegative(), z.number().nonnegative()])
  .refine(
    ([least, most]) => (least > 0 && least <= most) || (least === 0 && most === 0),
    "two levels above 0, the lesser first, or [0, 0]",
  );

const settings = z.strictObject({
  perceptualWeight: weight.default(1), // E-LatentLPIPS
  augment: z.boolean().default(true), // E-LatentLPIPS: both latents under the same random transform; false: LatentLPIPS
  latentWeight: weight.default(0.1), // plain difference of latents
  latentLoss: z.enum(["huber", "squared"]).default("huber"),
  imageShare: fraction.default(0.5), // share of the discriminator's real rows that are images of train.images, without their noise
  adversarialWeight: weight.default(0.05),
  adversarialStart: z.int().nonnegative().default(500), // steps of regression alone before the discriminator joins
  sharpen: weight.default(1), // what adversarialWeight is multiplied by in the last part of the steps
  sharpenPart: fraction.default(0.25), // that part of all steps; it should lie where the rate falls (decay)
  discriminatorRate: rate.default(1e-4),
  // The teacher's network, or heads over train.perceptual's features, judges.
  discriminator: z.enum(["teacher", "features", "both"]).default("teacher"),
  discriminatorDepth: count.default(3), // DiT: how many of the teacher's blocks the discriminator keeps
  noiseCondition: z.boolean().default(true), // the discriminator sees a triple's noise
  // The teacher's network sees latents under noise of these levels, over sigmaData; [0, 0] shows them clean.
  discriminatorNoise: noiseRange.default([0.1, 1]),
  scales: z.array(count).min(1).default([1, 2]), // multi-scale inputs and outputs: latent side divided by these
  mismatch: fraction.default(0.25), // mix-and-match: share of the discriminator's fakes that are unrelated real latents
  r1Weight: weight.default(1e-3),
  r1Every: count.default(16),
  adapter: adapterSchema.default("all"), // what of the student is trained: all, {lora: {rank, alpha, targets}} or {only: [...]}
});
type Diffusion2ganSettings = z.infer<typeof settings>;
type Kit = AnyKit<Diffusion2ganSettings>;

export const method: Method<Diffusion2ganSettings> = {
  name: "diffusion2gan",
  about: "regression under a perceptual distance of latents, and a conditional discriminator",
  source: "Kang et al., Distilling Diffusion Models into Conditional GANs, ECCV 2024",
  makes: "student",
  isDefault: true,
  settings,
  rules: { ...adversarialFit, fit: [...(adversarialFit.fit ?? []), adapterFit<Diffusion2ganSettings>()] },
  needs: (own, { batch }) => {
    const rows = own.adversarialWeight > 0 ? Math.round(batch * own.imageShare) : 0;
    return {
      rows: "triples",
      ...(rows > 0 && { images: { rows, fromStep: own.adversarialStart } }),
      frozen: ["teacher", ...(own.adversarialWeight > 0 && own.discriminator !== "teacher" ? ["perceptual"] : [])],
      ...(own.perceptualWeight > 0 && { uses: ["perceptual"] }),
      remedies: { perceptual: "set train.diffusion2gan.discriminator=teacher" },
    };
  },
  parts: ({ weights, seed, ...job }) => ({
    student: { from: "teacher", train: job.settings.adapter, average: job.optimiser.ema },
    ...(isAdversarial(job) && { discriminator: { from: () => criticOf(job).init(weights.teacher ?? {}, seed), train: "all" } }),
  }),
  programs: (kit) => ({
    regression: studentUpdate(kit, { isPlaying: false }),
    ...(isAdversarial(kit) && {
      generator: studentUpdate(kit, { isPlaying: true }),
      discriminator: discriminatorUpdate(kit),
      r1: r1Update(kit),
    }),
  }),
  step,
  sampler: (_, { spec }) => ({ times: [(spec as DenoiserSpec).diffusion.sigmaMax], between: "ode", guidance: 1 }),
  figures: [
    {
      title: "Terms of the loss, unweighted",
      label: "loss",
      figures: { perceptual: "perceptual", latent: "latent", adversarial: "adversarial" },
      log: true,
    },
    ...discriminatorFigures,
    { title: "R1 penalty", label: "squared gradient", figures: { r1: "R1" }, log: true, section: "discriminator" },
  ],
  rare: ["r1"],
  findings: adversarialFindings(
    {
      saturated: "half of discriminatorRate, ten times r1Weight, a later adversarialStart, or more mismatch (all of train.diffusion2gan)",
      swinging: "half of train.diffusion2gan.discriminatorRate: its updates overshoot",
      collapsed:
        "less adversarialWeight, more perceptualWeight or mismatch (of train.diffusion2gan); the best step is kept (train.keep=best)",
      exploding: "half of train.diffusion2gan.discriminatorRate, or more train.diffusion2gan.r1Weight",
    },
    ["r1"],
  ),
};

type ThisJob = Pick<Job<Diffusion2ganSettings>, "settings" | "optimiser" | "subject">;

const isAdversarial = ({ settings, optimiser }: ThisJob): boolean =>
  settings.adversarialWeight > 0 && settings.adversarialStart < optimiser.steps;

/** The distance that looks through the frozen network which is there; discriminator heads read the same network. */
const distanceOf = (job: ThisJob) => latentDistance({ spec: teacherOf(job), perceptual: job.subject.perceptual });

function criticOf(job: ThisJob) {
  const { discriminator, discriminatorDepth: depth, scales } = job.settings;
  return createCritic({
    spec: teacherOf(job),
    ...(discriminator !== "features" && { trunk: { depth, scales } }),
    ...(discriminator !== "teacher" && { features: job.subject.perceptual }),
  });
}

/** Heads over frozen features see latents clean; only the teacher's network sees them under noise. */
const disturbanceRange = ({ discriminator, discriminatorNoise }: Diffusion2ganSettings): readonly [number, number] =>
  discriminator === "features" ? [0, 0] : discriminatorNoise;

/** The student's update, by regression alone or against the discriminator as well. */
function studentUpdate(kit: Kit, { isPlaying }: { isPlaying: boolean }): Update {
  const { settings: own, optimiser } = kit;
  const spec = teacherOf(kit);
  const { batch } = optimiser;
  const image = { shape: [batch, ...spec.shape] };
  const { role: features, between } = distanceOf(kit);
  const critic = isPlaying ? criticOf(kit) : undefined;
  return {
    trains: "student",
    reads: [features, ...(critic ? ["discriminator"] : [])],
    inputs: {
      noise: image,
      latent: image,
      ...conditionInputs(spec, batch),
      ...(isAugmented(own) && { draws: { shape: [batch, DRAW_SIZE] } }),
      ...(critic && {
        adversarialWeight: { shape: [] },
        paired: { shape: [batch] },
        ...disturbanceInputs(disturbanceRange(own), spec, batch),
      }),
    },
    ...(critic && { leaves: { fake: image.shape } }),
    loss: (parameters, inputs, read) => {
      const { noise, latent, draws, adversarialWeight, paired, ...rest } = inputs as Record<StudentInput, Tensor>;
      const { disturbance, others: given } = disturbanceOf(rest);
      const fake = generate(spec, parameters, noise, given);
      const seen = read[features] as Parameters;
      const terms: Terms = {
        ...(own.perceptualWeight > 0 && { perceptual: [between(fake, latent, seen, draws), own.perceptualWeight] }),
        latent: [(own.latentLoss === "squared" ? squaredError : pseudoHuber)(fake, latent), own.latentWeight],
      };
      if (critic) {
        const logits = critic.logits(read.discriminator as Parameters, { x: fake, noise, paired, disturbance, given }, seen);
        terms.adversarial = [generatorLoss(logits), adversarialWeight];
      }
      return { ...weighted(terms), left: { fake } };
    },
  };
}
type StudentInput = "noise" | "latent" | "draws" | "adversarialWeight" | "paired";

/** Whether a step needs draws: nothing but the perceptual distance reads them. */
const isAugmented = ({ augment, perceptualWeight }: Diffusion2ganSettings): boolean => augment && perceptualWeight > 0;

const OF_REAL = "real.";

/** What the discriminator sees of `rows` rows besides what was generated. */
function seenInputs({ settings: own, ...job }: Kit, rows: number): Inputs {
  const spec = teacherOf(job);
  const image = { shape: [rows, ...spec.shape] };
  const seen = { noise: image, latent: image, paired: { shape: [rows] } };
  return { ...seen, ...disturbanceInputs(disturbanceRange(own), spec, rows), ...conditionInputs(spec, rows) };
}

/** Its optimiser, slowed for the updates that lazy regularisation adds. */
function discriminatorOptimiser({ discriminatorRate, r1Every }: Diffusion2ganSettings, optimiser: OptimiserSettings): Update["optimiser"] {
  const share = lazyShare(r1Every);
  return {
    ...optimiser,
    learningRate: discriminatorRate * share,
    beta1: 0.5, // without momentum every step has the size of the rate, and the logits swung from step to step
    beta2: 0.99 ** share,
    weightDecay: 0,
  };
}

/** Real rows are the teacher's latents with their noise, and after them real images without; each has its own condition. */
function discriminatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  const critic = criticOf(kit);
  const { role: features } = distanceOf(kit);
  const realConditions = Object.entries(conditionInputs(teacherOf(kit), batch)).map(([name, input]) => [OF_REAL + name, input]);
  return {
    trains: "discriminator",
    reads: [features],
    inputs: { ...seenInputs(kit, batch), ...Object.fromEntries(realConditions), mask: { shape: [batch] } },
    takes: ["fake"], // a mismatched row takes its latent from its own micro-batch
    optimiser: discriminatorOptimiser(own, optimiser),
    loss: (parameters, inputs, read) => {
      const { noise, latent, fake, mask, paired, ...rest } = inputs as Record<"noise" | "latent" | "fake" | "mask" | "paired", Tensor>;
      const { disturbance, others } = disturbanceOf(rest);
      const [ofReal, given] = inputsApart(others, OF_REAL);
      const seen = { noise, paired, disturbance };
      const logitsOf = (x: Tensor, conditions: Record<string, Tensor>): Tensor[] =>
        critic.logits(parameters, { ...seen, x, given: conditions }, read[features] as Parameters);
      const real = logitsOf(latent, ofReal);
      const mixed = logitsOf(mixAndMatch({ generated: fake, real: latent, mask }), given);
      return { loss: discriminatorLoss({ real, fake: mixed }), metrics: verdicts({ real, mixed, mask }) };
    },
  };
}

/** R1 on one row: it spares the memory of a whole batch's second derivatives. */
function r1Update(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const critic = criticOf(kit);
  const { role: features } = distanceOf(kit);
  return {
    trains: "discriminator",
    reads: [features],
    inputs: seenInputs(kit, 1),
    batch: 1,
    optimiser: discriminatorOptimiser(own, optimiser),
    loss: (parameters, inputs, read) => {
      const { noise, latent, paired, ...rest } = inputs as Record<"noise" | "latent" | "paired", Tensor>;
      const { disturbance, others: given } = disturbanceOf(rest);
      const discriminate = (x: Tensor): Tensor[] =>
        critic.logits(parameters, { x, noise, paired, disturbance, given }, read[features] as Parameters);
      const penalty = r1Penalty({ x: latent, discriminate });
      const weighed = tf.mul(penalty, penaltyWeight(own.r1Weight, own.r1Every));
      return { loss: tf.add(weighed, untouched(parameters)), metrics: { penalty } };
    },
  };
}

async function step({ step, noise, latent, conditions, image }: Batch, job: Job<Diffusion2ganSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch } = optimiser;
  const spec = teacherOf(job);
  const [height, width] = spec.shape;
  const isPlaying = isAdversarial(job) && step >= own.adversarialStart;
  const given: Arrays = { ...conditions, keep: new Float32Array(batch).fill(1) };
  const pairs = { noise: noise as Float32Array, latent: latent as Float32Array, ...given };
  const draws = isAugmented(own) && { draws: augmentationDraws({ seed, step, batch, height, width }) };
  if (!isPlaying) return run("regression", { ...pairs, ...draws });

  const images = image ? image.latent.length / (pairs.latent.length / batch) : 0;
  const paired = Float32Array.from({ length: batch }, (_, row) => (own.noiseCondition && row < batch - images ? 1 : 0));
  const disturbance = disturbances({ range: disturbanceRange(own), spec, batch, seed, step });
  const weight = { adversarialWeight: Float32Array.of(adversarialWeight(step, own, optimiser.steps)) };
  const figures = await run("generator", { ...pairs, ...draws, ...weight, paired, ...disturbance });

  const real = Object.entries(given).map(([name, values]) => [OF_REAL + name, withLast(values, image?.conditions[name])]);
  const seen: Arrays = { ...pairs, ...Object.fromEntries(real), ...disturbance, paired, latent: withLast(pairs.latent, image?.latent) };
  const since = step - own.adversarialStart;
  const updates = updatesBefore(since, own.r1Every);
  const mask = mismatchMask({ seed, step, batch, share: own.mismatch });
  const judged = await run("discriminator", { ...seen, mask }, { updates });
  Object.assign(figures, ofDiscriminator(judged));
  if (own.r1Weight === 0 || !isPenalised(since, own.r1Every)) return figures;
  const row = (since / own.r1Every) % batch; // the rows in turn
  const one = (name: string) => rowOf(seen[name] as Arrays[string], row, batch);
  const alone = Object.keys(given).map((name) => [name, one(OF_REAL + name)]);
  const others = ["noise", "latent", "paired", ...Object.keys(disturbance)].map((name) => [name, one(name)]);
  const { penalty } = await run("r1", Object.fromEntries([...alone, ...others]), { updates: updates + 1 });
  return { ...figures, r1: penalty as number };
}

type Arrays = Record<string, Float32Array | Int32Array>;

/** Row `row` of `batch`. */
const rowOf = <T extends Float32Array | Int32Array>(values: T, row: number, batch: number): T =>
  values.subarray((row * values.length) / batch, ((row + 1) * values.length) / batch) as T;

/** The discriminator's weight in a step: in the last `sharpenPart` of them `sharpen` times the usual. */
function adversarialWeight(step: number, { adversarialWeight, sharpen, sharpenPart }: Diffusion2ganSettings, steps: number): number {
  return step >= steps * (1 - sharpenPart) ? sharpen * adversarialWeight : adversarialWeight;
}

/** `values` with its end overwritten by `last`. */
function withLast<T extends Float32Array | Int32Array>(values: T, last?: T): T {
  if (!last || last.length === 0) return values;
  const whole = values.slice() as T;
  whole.set(last, whole.length - last.length);
  return whole;
}

/**
 * D2O: a GAN alone makes a one-step generator of a teacher, from real images and without the teacher's results; D2O-F leaves most of
 * the teacher as it is (docs/METHODS.md 3). The discriminator is Projected GAN's: heads over frozen networks' mixed maps.
 */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { tf } from "../engine/tfjs.ts";
import { adaLoss, adaOptimiser, createAda, initAda, probabilityOf, signs } from "../models/critics/ada.ts";
import type { Augmenter } from "../models/critics/augmenter.ts";
import { verdictsOf } from "../models/critics/critic.ts";
import { createDiffAugment, diffAugmentPolicies } from "../models/critics/diff-augment.ts";
import { disturbanceInputs, disturbanceOf, disturbances, isClean } from "../models/critics/disturbance.ts";
import { frozenImages, frozenPerceptual, frozenTeacher } from "../models/critics/frozen.ts";
import { mixings } from "../models/critics/mixing.ts";
import { createProjectedCritic, type ProjectedCritic } from "../models/critics/projection.ts";
import { conditionInputs, type DenoiserSpec, parameterGroups } from "../models/denoiser.ts";
import { generate } from "../models/diffusion/one-step.ts";
import { createParameterisation } from "../models/diffusion/parameterisation.ts";
import type { Parameters } from "../models/layers.ts";
import { gameNames, games, gradientPenalty, untouched } from "../models/losses/adversarial.ts";
import { type Adapter, exceptGroups } from "../models/training/adapters.ts";
import { isPenalised, lazyShare, penaltyWeight, updatesBefore } from "../models/training/lazy.ts";
import { Failure } from "../schemas/failure.ts";
import { normals } from "../schemas/numbers/philox.ts";
import { count, fraction, rate, weight } from "../schemas/settings.ts";
import { d2oFit } from "./fit/d2o.ts";
import { type Kit as AnyKit, type Batch, type Inputs, type Job, type Method, type Run, type Update, teacherOf } from "./method.ts";
import { adversarialFindings, discriminatorFigures, ofDiscriminator } from "./findings/adversarial.ts";

/** The groups of a network's parameters that each way of freezing leaves alone, as far as its family has them. */
const frozenGroups = {
  none: [],
  bulk: ["bulk", "text"],
  "bulk-qkv": ["bulk", "text", "qkv"],
  "bulk-qkv-skip": ["bulk", "text", "qkv", "skip"],
} as const;
type Freeze = keyof typeof frozenGroups;

const noiseLevels = z.union([
  z.tuple([z.number().positive(), z.number().positive()]).refine(([least, most]) => least <= most, "two levels above 0, the lesser first"),
  z.strictObject({ mean: z.number(), std: rate }),
  z.literal("none"),
]);

const settings = z.strictObject({
  freeze: z.enum(Object.keys(frozenGroups) as [Freeze, ...Freeze[]]).default("none"), // bulk: D2O-F, about 85 % of the student
  // The level, over sigmaData, at which the teacher becomes the generator. The paper's is the highest, where a teacher's first guess is
  // nearly the mean of the images; where noise and images are both to be seen its guesses differ from the first step (SiD's is 5).
  sigma: z.union([z.number().positive(), z.literal("max")]).default("max"),
  networks: z
    .array(z.enum(["perceptual", "teacher", "images"]))
    .min(1)
    .refine((names) => new Set(names).size === names.length, "each network once")
    .default(["perceptual", "teacher"]), // what the discriminator looks through; images: train.features' networks, on decoded images
  mixing: z.enum(mixings).default("scales"), // fixed random mixing of their maps
  teacherDepth: count.default(3), // DiT: how many of the teacher's blocks it looks through
  // LADD: the teacher sees latents under noise of these levels over sigmaData, [least, most] or {mean, std} of a logit-normal.
  teacherNoise: noiseLevels.default("none"),
  game: z.enum(gameNames).default("softplus"),
  discriminatorRate: rate.default(2e-3), // the paper's is 1e-4 for networks of some millions; these heads are small
  discriminatorBetas: z.tuple([fraction, fraction]).default([0, 0.99]),
  r1Weight: weight.default(1e-4), // gamma
  r1Every: count.default(16),
  r1On: z.enum(["latents", "features"]).default("latents"), // what the penalty's gradient is of
  augment: z.enum(["none", "diffaugment", "ada"]).default("none"), // of what the discriminator sees
  policy: z
    .array(z.enum(diffAugmentPolicies))
    .min(1)
    .default([...diffAugmentPolicies]), // DiffAugment's
  adaPipes: z
    .string()
    .regex(/^[bgrc]+$/, "some of the letters b, g, r and c")
    .default("bgc"),
  adaTarget: fraction.default(0.6), // E sign D(real) that the probability of transforms aims at
  adaImages: count.default(500_000), // real rows in which that probability goes from 0 to 1
  emaHalfLife: count.default(500_000), // images; of the student's moving average
  emaRamp: rate.default(0.05), // and at most this share of the images so far
});
type D2oSettings = z.infer<typeof settings>;
type Kit = AnyKit<D2oSettings>;
type ThisJob = Pick<Job<D2oSettings>, "settings" | "optimiser" | "subject">;

export const method: Method<D2oSettings> = {
  name: "d2o",
  about: "a discriminator alone, on real images; freeze=bulk is D2O-F",
  source: "Zheng et al., Revisiting Diffusion Models: From Generative Pre-training to One-Step Generation, ICML 2025",
  makes: "student",
  settings,
  rules: d2oFit,
  needs: ({ networks }) => {
    const isNeeded = networks.every((network) => network === "perceptual");
    return {
      rows: "latents",
      frozen: ["teacher", ...(isNeeded ? ["perceptual"] : []), ...(networks.includes("images") ? ["features", "codec"] : [])],
      ...(networks.includes("perceptual") && !isNeeded && { uses: ["perceptual"] }),
      remedies: { perceptual: "let train.d2o.networks hold teacher" },
    };
  },
  forms: { "d2o-f": { about: "D2O with all but about a fifth of the network frozen", changes: { freeze: "bulk" } } },
  parts: ({ weights, seed, ...job }) => ({
    student: { from: "teacher", train: trainedOf(job), ...averageOf(job) },
    discriminator: { from: () => criticOf(job).init(weights.teacher ?? {}, seed), train: criticOf(job).train },
    ...(job.settings.augment === "ada" && { augmentation: { from: initAda, train: "all" as const } }),
  }),
  programs: (kit) => ({
    generator: generatorUpdate(kit),
    discriminator: discriminatorUpdate(kit),
    ...(kit.settings.r1Weight > 0 && { r1: r1Update(kit) }),
    ...(kit.settings.augment === "ada" && { ada: adaUpdate(kit) }),
  }),
  step,
  sampler: (own, { spec }) => ({ times: [sigmaOf(own, spec as DenoiserSpec)], between: "ode", guidance: 1 }),
  figures: [
    { title: "The student's side of the game", label: "loss", figures: { adversarial: "adversarial" } },
    ...discriminatorFigures,
    { title: "R1 penalty", label: "squared gradient", figures: { r1: "R1" }, log: true, section: "discriminator" },
    {
      title: "Adaptive augmentation",
      label: "",
      figures: { p: "probability of transforms", sure: "E sign D(real)" },
      section: "discriminator",
    },
  ],
  rare: ["r1"],
  findings: adversarialFindings(
    {
      saturated: "half of discriminatorRate, more r1Weight, or augment=ada (all of train.d2o)",
      swinging: "half of train.d2o.discriminatorRate, or discriminatorBetas=[0.5,0.99]: its updates overshoot",
      collapsed: "half of train.learningRate, or freeze=bulk (of train.d2o); the best step is kept (train.keep=best)",
      exploding: "half of train.d2o.discriminatorRate, or more train.d2o.r1Weight",
    },
    ["r1"],
  ),
};

/** The noise level of the student's one call. Throws a Failure where its teacher was not trained there. */
function sigmaOf({ sigma }: D2oSettings, { diffusion }: DenoiserSpec): number {
  const { sigmaMin, sigmaMax } = createParameterisation(diffusion);
  const level = sigma === "max" ? sigmaMax : sigma * diffusion.sigmaData;
  if (level >= sigmaMin && level <= sigmaMax) return level;
  const range = `${sigmaMin / diffusion.sigmaData} to ${sigmaMax / diffusion.sigmaData}`;
  throw new Failure(`Cannot train by d2o at the noise level ${sigma} (train.d2o.sigma): the teacher knows ${range} times its sigmaData.`);
}

/** All of the student, or what its freezing leaves. */
function trainedOf(job: ThisJob): Adapter {
  const groups = parameterGroups(teacherOf(job));
  return exceptGroups(frozenGroups[job.settings.freeze], groups);
}

/** The moving average's decay a step, of its half-life in images. */
function averageOf({ settings: { emaHalfLife, emaRamp }, optimiser: { batch } }: ThisJob): { average: number; ramp: number } {
  return { average: 0.5 ** (batch / emaHalfLife), ramp: emaRamp };
}

function criticOf(job: ThisJob): ProjectedCritic {
  const { networks, mixing, teacherDepth: depth } = job.settings;
  const { perceptual, features, codec, statistics } = job.subject;
  const spec = teacherOf(job);
  return createProjectedCritic({
    spec,
    networks: [
      ...(networks.includes("perceptual") && perceptual ? [frozenPerceptual(perceptual)] : []),
      ...(networks.includes("teacher") ? [frozenTeacher(spec, { depth })] : []),
      ...(networks.includes("images") && features && codec && statistics
        ? frozenImages({ networks: features, codec, statistics, sigmaData: spec.diffusion.sigmaData })
        : []),
    ],
    mixing,
    isDisturbed: !isClean(levelsOf(job.settings)),
  });
}

const levelsOf = ({ networks, teacherNoise }: D2oSettings) =>
  teacherNoise === "none" || !networks.includes("teacher") ? ([0, 0] as const) : teacherNoise;

function augmenterOf({ settings: { augment, policy, adaPipes: pipes }, ...job }: ThisJob): Augmenter | undefined {
  const { shape } = teacherOf(job);
  if (augment === "none") return undefined;
  return augment === "ada" ? createAda({ shape, pipes }) : createDiffAugment({ shape, policy });
}

/** Adam's of the discriminator, slowed where lazy regularisation adds updates. */
function discriminatorOptimiser({ settings: own, optimiser }: ThisJob): Update["optimiser"] {
  const share = own.r1Weight > 0 ? lazyShare(own.r1Every) : 1;
  const [beta1, beta2] = own.discriminatorBetas;
  return { ...optimiser, learningRate: own.discriminatorRate * share, beta1: beta1 ** share, beta2: beta2 ** share, weightDecay: 0 };
}

/** What a discriminator's program takes besides latents: conditions, noise for the teacher's eyes, and draws of transforms by side. */
function seenInputs(kit: Kit, sides: readonly Side[]): Inputs {
  const { batch } = kit.optimiser;
  const spec = teacherOf(kit);
  const augmenter = augmenterOf(kit);
  return {
    ...conditionInputs(spec, batch),
    ...disturbanceInputs(levelsOf(kit.settings), spec, batch),
    ...(augmenter && Object.fromEntries(sides.map((side) => [drawsOf(side), { shape: [batch, augmenter.columns] }]))),
  };
}
type Side = "made" | "real" | "fake";
const drawsOf = (side: Side): `draws.${Side}` => `draws.${side}`;

/** Networks that a program looks at: frozen ones, the discriminator where it judges others, and the probability of transforms. */
function readsOf(kit: Kit, ...others: string[]): string[] {
  return [...criticOf(kit).roles, ...others, ...(kit.settings.augment === "ada" ? ["augmentation"] : [])];
}

/** The critic with the transforms in front of it, over a program's inputs. */
function judging(kit: Kit, inputs: Record<string, Tensor>, read: Record<string, Parameters>) {
  const critic = criticOf(kit);
  const augmenter = augmenterOf(kit);
  const { disturbance, others } = disturbanceOf(inputs);
  const given = Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith("draws.")));
  const told = { given, ...(disturbance && { disturbance }) };
  const probability = read.augmentation && probabilityOf(read.augmentation);
  const augmented = (x: Tensor, side: Side): Tensor => augmenter?.apply(x, others[drawsOf(side)] as Tensor, probability) ?? x;
  return {
    given,
    maps: (parameters: Parameters, x: Tensor, side: Side): Tensor[] => critic.maps(parameters, { x: augmented(x, side), ...told }, read),
    judge: (parameters: Parameters, maps: readonly Tensor[]): Tensor[] => critic.judge(parameters, maps, told),
    logits: (parameters: Parameters, x: Tensor, side: Side): Tensor[] =>
      critic.logits(parameters, { x: augmented(x, side), ...told }, read),
  };
}

function generatorUpdate(kit: Kit): Update {
  const spec = teacherOf(kit);
  const image = { shape: [kit.optimiser.batch, ...spec.shape] };
  return {
    trains: "student",
    reads: readsOf(kit, "discriminator"),
    inputs: { noise: image, ...seenInputs(kit, ["made"]) },
    leaves: { fake: image.shape },
    loss: (parameters, { noise, ...inputs }, read) => {
      const { given, logits } = judging(kit, inputs, read);
      const fake = generate(spec, parameters, noise as Tensor, given, sigmaOf(kit.settings, spec));
      const adversarial = games[kit.settings.game].generatorLoss(logits(read.discriminator as Parameters, fake, "made"));
      return { loss: adversarial, metrics: { adversarial }, left: { fake } };
    },
  };
}

function discriminatorUpdate(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  const { batch } = optimiser;
  return {
    trains: "discriminator",
    reads: readsOf(kit),
    inputs: { latent: { shape: [batch, ...teacherOf(kit).shape] }, ...seenInputs(kit, ["real", "fake"]) },
    takes: ["fake"],
    ...(own.augment === "ada" && { leaves: { sure: [batch] } }),
    optimiser: discriminatorOptimiser(kit),
    loss: (parameters, { latent, fake, ...inputs }, read) => {
      const { logits } = judging(kit, inputs, read);
      const [real, made] = [logits(parameters, latent as Tensor, "real"), logits(parameters, fake as Tensor, "fake")];
      return {
        loss: games[own.game].discriminatorLoss({ real, fake: made }),
        metrics: verdictsOf({ real, fake: made }),
        ...(own.augment === "ada" && { left: { sure: signs(real) } }),
      };
    },
  };
}

/** R1 on the real rows, of their latents or of the maps that heads read. */
function r1Update(kit: Kit): Update {
  const { settings: own, optimiser } = kit;
  return {
    trains: "discriminator",
    reads: readsOf(kit),
    inputs: { latent: { shape: [optimiser.batch, ...teacherOf(kit).shape] }, ...seenInputs(kit, ["real"]) },
    optimiser: discriminatorOptimiser(kit),
    loss: (parameters, { latent, ...inputs }, read) => {
      const { maps, judge, logits } = judging(kit, inputs, read);
      const penalty =
        own.r1On === "features"
          ? gradientPenalty({ at: maps(parameters, latent as Tensor, "real"), discriminate: (at) => judge(parameters, at) })
          : gradientPenalty({ at: [latent as Tensor], discriminate: ([x]) => logits(parameters, x as Tensor, "real") });
      const loss = tf.mul(penalty, penaltyWeight(own.r1Weight, own.r1Every));
      return { loss: tf.add(loss, untouched(parameters)), metrics: { penalty } };
    },
  };
}

/** One move of the probability with which ADA's transforms fire. */
function adaUpdate({ settings: own, optimiser: { batch, steps } }: Kit): Update {
  return {
    trains: "augmentation",
    inputs: {},
    takes: ["sure"],
    optimiser: adaOptimiser({ batch, images: own.adaImages, steps }),
    loss: (parameters, { sure }) => ({
      loss: adaLoss(parameters, { sure: sure as Tensor, target: own.adaTarget }),
      metrics: { p: probabilityOf(parameters), sure: tf.mean(sure as Tensor) },
    }),
  };
}

async function step({ step, latent, conditions }: Batch, job: Job<D2oSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch } = optimiser;
  const real = latent as Float32Array;
  const given = { ...conditions, ...(Object.keys(conditions).length > 0 && { keep: new Float32Array(batch).fill(1) }) };
  const seen = { ...given, ...disturbances({ range: levelsOf(own), spec: teacherOf(job), batch, seed, step }) };
  const augmenter = augmenterOf(job);
  const draws = (...sides: Side[]): Record<string, Float32Array> =>
    Object.fromEntries(
      sides.flatMap((side) => (augmenter ? [[drawsOf(side), augmenter.draws({ seed, stream: `d2o/${side}`, step, rows: batch })]] : [])),
    );
  const noise = normals({ seed, stream: "d2o/noise", offset: step * real.length, length: real.length });
  const figures = await run("generator", { noise, ...seen, ...draws("made") });

  const updates = own.r1Weight > 0 ? updatesBefore(step, own.r1Every) : step;
  const ofReal = { latent: real, ...seen, ...draws("real") };
  const judged = await run("discriminator", { ...ofReal, ...draws("fake") }, { updates });
  Object.assign(figures, ofDiscriminator(judged));
  if (own.r1Weight > 0 && isPenalised(step, own.r1Every)) {
    figures.r1 = (await run("r1", ofReal, { updates: updates + 1 })).penalty as number;
  }
  if (own.augment === "ada") {
    const { p, sure } = await run("ada", {});
    Object.assign(figures, { p, sure });
  }
  return figures;
}

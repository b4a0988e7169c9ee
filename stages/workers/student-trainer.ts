/**
 * Trains the one-step student in a worker: Diffusion2GAN (Kang et al. 2024; METHODS 1). The student is the teacher's
 * network, run once at sigmaMax; it learns from triples (noise, latent, condition) by E-LatentLPIPS and by a
 * discriminator that starts as the teacher too. Step k is a pure function of the state before it, the batch and k.
 */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { generatorLoss, mismatchMask } from "../../models/losses/adversarial.ts";
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { augmentationDraws, DRAW_SIZE } from "../../models/losses/augment.ts";
import { denoise } from "../../models/diffusion/denoise.ts";
import type { ConditionBag } from "../../models/conditions.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../../models/denoiser.ts";
import { eLatentLpips, featureDistance } from "../../models/losses/elatentlpips.ts";
import type { Parameters } from "../../models/layers.ts";
import { averageDecay, rateInputs } from "../../models/training/optimiser.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import type { PerceptualConfig } from "../../models/losses/perceptual.ts";
import { teacherFeatures } from "../../models/losses/teacher-features.ts";
import type { EngineSettings, TrainSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createSampling, type SamplerInputs, type Sampling } from "../../models/diffusion/sampling.ts";
import { disturbanceInputs, disturbanceOf, disturbances } from "../../methods/disturbance.ts";
import { createJudge, type Judge, ofReal } from "../../methods/judge.ts";
import { compileStep, createTrained, savedState, scalars, type Sets, type Step } from "../../models/training/training.ts";

export interface StudentTrainerOptions {
  spec: DenoiserSpec;
  teacher: Weights;
  /** What the student starts from instead of the teacher, and the discriminator if it is of this kind. */
  start?: { student: Weights; judge?: Weights };
  perceptual?: { config: PerceptualConfig; weights: Weights };
  settings: TrainSettings;
  engine: EngineSettings;
  seed: number;
}

export interface StudentBatch {
  step: number;
  /** Unit noise and the teacher's latents, each [batch * h * w * c]. */
  noise: Float32Array;
  latent: Float32Array;
  conditions: ConditionBag;
  /** Real images' latents [rows, h, w, c] with their conditions: the discriminator's real rows after the teacher's. */
  image?: { latent: Float32Array; conditions: ConditionBag };
}

/** The worker's methods; see engine/compute.ts. */
export async function create(options: StudentTrainerOptions) {
  const { spec, teacher, start, perceptual, settings, seed } = options;
  const engine = await createEngine(deviceOf(options.engine));
  const { batch, accumulate, adversarialStart, adversarialWeight, noiseCondition } = settings;
  const isAdversarial = adversarialWeight > 0 && adversarialStart < settings.steps;
  const isAugmented = settings.augment && settings.perceptualWeight > 0; // nothing else reads the draws

  const student = createTrained(engine, "student", start?.student ?? teacher);
  const features = perceptual ? engine.constants("perceptual", perceptual.weights) : engine.constants("teacher", teacher);
  const judged = perceptual && { config: perceptual.config, features };
  const judge = isAdversarial ? createJudge({ engine, spec, teacher, perceptual: judged, start: start?.judge, settings, seed }) : undefined;

  const image = { shape: [batch, ...spec.shape] };
  const pairs = { noise: image, latent: image, ...conditionInputs(spec, batch) };

  /** E-LatentLPIPS (or the frozen teacher's features) and the plain difference of generated and the teacher's latents. */
  const regression = (fake: Tensor, real: Tensor, read: Tensors, draws?: Tensor): Parameters => ({
    ...(settings.perceptualWeight > 0 && {
      perceptual: perceptual
        ? eLatentLpips({ config: perceptual.config, parameters: read, a: fake, b: real, draws })
        : featureDistance({ features: (latents) => teacherFeatures(spec, read, latents), a: fake, b: real, draws }),
    }),
    pixel: settings.pixelLoss === "squared" ? tf.mean(tf.squaredDifference(fake, real)) : pseudoHuber(fake, real),
  });
  /** The student's update, by regression alone or against the discriminator as well. */
  const compileUpdate = (against?: Judge) =>
    compileStep({
      engine,
      name: against ? "generator step" : "regression step",
      trained: student,
      others: { features, ...(against && { judge: against.network }) },
      inputs: {
        ...pairs,
        ...(isAugmented && { draws: { shape: [batch, DRAW_SIZE] } }),
        ...(against && { adversarialWeight: { shape: [] }, paired: { shape: [batch] }, ...disturbanceInputs(settings, spec, batch) }),
      },
      optimiser: settings,
      batch,
      accumulate,
      loss: (parameters, inputs, { features: read, judge: judging }) => {
        const { noise, latent, draws, adversarialWeight: adversarial, paired, ...rest } = inputs as Record<GeneratorInput, Tensor>;
        const { disturbance, others: given } = disturbanceOf(rest);
        const fake = generate(spec, parameters, noise, given);
        const losses = regression(fake, latent, read as Tensors, draws);
        if (against) {
          const logits = against.logits(judging as Parameters, { x: fake, noise, paired, disturbance, given }, read as Parameters);
          losses.adversarial = generatorLoss(logits);
        }
        const weights: Record<string, Tensor | number> = {
          perceptual: settings.perceptualWeight,
          pixel: settings.pixelWeight,
          adversarial,
        };
        const terms = Object.entries(losses).map(([name, loss]) => tf.mul(loss, weights[name] as Tensor | number));
        return { loss: tf.addN(terms), metrics: { fake, ...losses } };
      },
    });

  let regressing: Promise<Step> | undefined;
  let playing: Promise<Step> | undefined;
  let averaged: Promise<Sampling> | undefined;
  let raw: Promise<Sampling> | undefined;

  return {
    step: async ({ step, noise, latent, conditions, image: real }: StudentBatch): Promise<Record<string, number>> => {
      const [height, width] = spec.shape;
      const against = step >= adversarialStart ? judge : undefined;
      const given: Conditioning = { ...conditions, keep: new Float32Array(batch).fill(1) };
      const imageCount = real ? real.latent.length / (latent.length / batch) : 0;
      const paired = Float32Array.from({ length: batch }, (_, row) => (noiseCondition && row < batch - imageCount ? 1 : 0));
      const disturbance = against ? disturbances({ settings, spec, seed, step }) : {};
      const update = await (against ? (playing ??= compileUpdate(against)) : (regressing ??= compileUpdate()));
      const outputs = await update({
        ...{ noise, latent, ...given },
        ...(against && { adversarialWeight: Float32Array.of(adversarialWeightOf(step, settings)), paired, ...disturbance }),
        ...(isAugmented && { draws: augmentationDraws({ seed, step, batch, height, width }) }),
        decay: averageDecay(step, settings.ema),
        ...rateInputs(step, settings),
      });
      const metrics = scalars(outputs);
      if (!against) return metrics;
      const seen = Object.entries(given).map(([name, values]) => [ofReal(name), withLast(values, real?.conditions[name])]);
      const shown = {
        ...{ ...given, ...(Object.fromEntries(seen) as Conditioning), ...disturbance, noise, paired },
        ...{ latent: withLast(latent, real?.latent), fake: outputs.fake as Float32Array },
        mask: mismatchMask({ seed, step, batch, share: settings.mismatch }),
      };
      return { ...metrics, ...(await against.step(shown, step)) };
    },
    /** One-step latents from the moving average. */
    sample: async (inputs: SamplerInputs): Promise<Float32Array> => {
      averaged ??= createSampling({ engine, spec, network: student.average, plan: ONE_STEP, batch: inputs.rows });
      return (await averaged).sample(inputs);
    },
    /** One-step latents from the student as it is. */
    sampleRaw: async (inputs: SamplerInputs): Promise<Float32Array> => {
      raw ??= createSampling({ engine, spec, network: student.network, plan: ONE_STEP, batch: inputs.rows });
      return (await raw).sample(inputs);
    },
    ...savedState({
      ...student,
      ...(judge && { judge: judge.network, judgeFirst: judge.first, judgeSecond: judge.second }),
    }),
  };
}

const ONE_STEP = { solver: "euler", steps: 1, guidance: 1 } as const;

type Conditioning = Record<string, InputArray>;
type GeneratorInput = "noise" | "latent" | "draws" | "adversarialWeight" | "paired";

/** The discriminator's weight in a step: in the last `sharpenPart` of them `sharpen` times the usual. */
function adversarialWeightOf(
  step: number,
  settings: Pick<TrainSettings, "steps" | "adversarialWeight" | "sharpen" | "sharpenPart">,
): number {
  const { steps, adversarialWeight, sharpen, sharpenPart } = settings;
  return step >= steps * (1 - sharpenPart) ? sharpen * adversarialWeight : adversarialWeight;
}

/** `values` with its end overwritten by `last`. */
function withLast<T extends InputArray>(values: T, last?: T): T {
  if (!last || last.length === 0) return values;
  const whole = values.slice() as T;
  whole.set(last, whole.length - last.length);
  return whole;
}

/** The student: one evaluation of the denoiser at sigmaMax, noise [b, h, w, c] -> clean latents. */
function generate(spec: DenoiserSpec, parameters: Parameters, noise: Tensor, given: Record<string, Tensor>): Tensor {
  const parameterisation = createParameterisation(spec.diffusion);
  const sigma = parameterisation.sigmaMax;
  const condition = embedConditions(spec, parameters, given);
  return denoise({
    x: tf.mul(noise, sigma),
    coefficients: parameterisation.precondition(sigma, numbers),
    network: (at) => applyNetwork(spec, parameters, { ...at, condition }),
  });
}

/** sqrt((a - b)^2 + c^2) - c, mean over all elements (Song & Dhariwal 2023, eq. 7, elementwise), c = 0.03. */
function pseudoHuber(a: Tensor, b: Tensor): Tensor {
  const c = 0.03;
  return tf.mean(tf.sub(tf.sqrt(tf.add(tf.square(tf.sub(a, b)), c * c)), c));
}

export type StudentTrainer = Awaited<ReturnType<typeof create>>;
export type { Sets };

/**
 * Trains the one-step student in a worker: Diffusion2GAN (Kang et al. 2024; METHODS 1). The student is the teacher's
 * network, run once at sigmaMax; it learns from triples (noise, latent, condition) by E-LatentLPIPS and by a
 * discriminator that starts as the teacher too. Step k is a pure function of the state before it, the batch and k.
 */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { discriminatorLoss, generatorLoss, mismatchMask, mixAndMatch, r1Penalty } from "../../models/adversarial.ts";
import { numbers } from "../../models/arithmetic.ts";
import { augmentationDraws, DRAW_SIZE } from "../../models/augment.ts";
import { denoise } from "../../models/denoise.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../../models/denoiser.ts";
import { applyDiscriminator, initDiscriminator } from "../../models/discriminator.ts";
import { eLatentLpips, featureDistance } from "../../models/elatentlpips.ts";
import type { Parameters } from "../../models/layers.ts";
import { averageDecay, rateInputs } from "../../models/optimiser.ts";
import { createParameterisation } from "../../models/parameterisation.ts";
import type { PerceptualConfig } from "../../models/perceptual.ts";
import { teacherFeatures } from "../../models/teacher-features.ts";
import type { EngineSettings, TrainSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createSampling, type SamplerInputs, type Sampling } from "./sampling.ts";
import { compileStep, createTrained, savedState, scalars, type Sets } from "./training.ts";

export interface StudentTrainerOptions {
  spec: DenoiserSpec;
  teacher: Weights;
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
  label?: Int32Array;
  tokens?: Int32Array;
}

/** The worker's methods; see engine/compute.ts. */
export async function create(options: StudentTrainerOptions) {
  const { spec, teacher, perceptual, settings, seed } = options;
  const engine = await createEngine(deviceOf(options.engine));
  const { batch, accumulate, adversarialStart, adversarialWeight, r1Every } = settings;
  const isAdversarial = adversarialWeight > 0 && adversarialStart < settings.steps;

  const student = createTrained(engine, "student", teacher);
  const config = { spec, depth: settings.discriminatorDepth, scales: settings.scales };
  const discriminator = createTrained(
    engine,
    "discriminator",
    isAdversarial ? initDiscriminator({ config, teacherWeights: teacher, seed }) : {},
  );
  const features = perceptual
    ? engine.constants("perceptual", perceptual.weights)
    : engine.constants("teacher", teacher);

  const image = { shape: [batch, ...spec.shape] };
  const pairs = { noise: image, latent: image, ...conditionInputs(spec, batch) };

  /** E-LatentLPIPS (or the frozen teacher's features) plus pseudo-Huber of generated against the teacher's latents. */
  const regression = (fake: Tensor, real: Tensor, draws: Tensor, read: Tensors): { perceptual: Tensor; pixel: Tensor } => ({
    perceptual: perceptual
      ? eLatentLpips({ config: perceptual.config, parameters: read, a: fake, b: real, draws })
      : featureDistance({ features: (latents) => teacherFeatures(spec, read, latents), a: fake, b: real, draws }),
    pixel: pseudoHuber(fake, real),
  });

  const compileGenerator = (adversarial: boolean) =>
    compileStep({
      engine,
      name: adversarial ? "generator step" : "regression step",
      trained: student,
      others: { features, ...(adversarial && { judge: discriminator.network }) },
      inputs: { ...pairs, draws: { shape: [batch, DRAW_SIZE] } },
      optimiser: settings,
      batch,
      accumulate,
      loss: (parameters, inputs, { features: read, judge }) => {
        const { noise, latent, draws, ...given } = inputs as Record<"noise" | "latent" | "draws", Tensor>;
        const fake = generate(spec, parameters, noise, given);
        const distance = regression(fake, latent, draws, read as Tensors);
        const terms = [tf.mul(distance.perceptual, settings.perceptualWeight), tf.mul(distance.pixel, settings.pixelWeight)];
        const metrics: Parameters = { fake, ...distance };
        if (adversarial) {
          const condition = embedConditions(spec, judge as Parameters, given);
          const fooled = generatorLoss(applyDiscriminator(config, judge as Parameters, { x: fake, z: noise, condition }));
          terms.push(tf.mul(fooled, adversarialWeight));
          metrics.adversarial = fooled;
        }
        return { loss: tf.addN(terms), metrics };
      },
    });

  // Lazy regularisation adds one update in r1Every: rate and betas shrink accordingly (Karras et al. 2020, appendix B).
  const share = r1Every / (r1Every + 1);
  const judging = {
    ...settings,
    learningRate: settings.discriminatorRate * share,
    beta1: 0,
    beta2: 0.99 ** share,
    weightDecay: 0,
  };
  const compileDiscriminator = () =>
    compileStep({
      engine,
      name: "discriminator step",
      trained: discriminator,
      inputs: { ...pairs, fake: image, mask: { shape: [batch] } },
      optimiser: judging,
      batch,
      accumulate, // a mismatched row takes its latent from its own micro-batch
      loss: (parameters, inputs) => {
        const { noise, latent, fake, mask, ...given } = inputs as Record<"noise" | "latent" | "fake" | "mask", Tensor>;
        const condition = embedConditions(spec, parameters, given);
        const judge = (x: Tensor): Tensor[] => applyDiscriminator(config, parameters, { x, z: noise, condition });
        const real = judge(latent);
        const mixed = judge(mixAndMatch({ generated: fake, real: latent, mask }));
        const mean = (logits: Tensor[]): Tensor => tf.div(tf.addN(logits.map((logit) => tf.mean(logit))), logits.length);
        return {
          loss: discriminatorLoss({ real, fake: mixed }),
          metrics: { real: mean(real), mixed: mean(mixed) },
        };
      },
    });
  const compileR1 = () =>
    compileStep({
      engine,
      name: "R1 step",
      trained: discriminator,
      inputs: { noise: { shape: [1, ...spec.shape] }, latent: { shape: [1, ...spec.shape] }, ...conditionInputs(spec, 1) },
      optimiser: judging,
      loss: (parameters, inputs) => {
        const { noise, latent, ...given } = inputs as Record<"noise" | "latent", Tensor>;
        const condition = embedConditions(spec, parameters, given);
        const penalty = r1Penalty({
          x: latent,
          discriminate: (x) => applyDiscriminator(config, parameters, { x, z: noise, condition }),
        });
        // The penalty does not depend on every parameter (the last biases); tf.grads wants each of them in the loss.
        const nothing = tf.mul(tf.addN(Object.values(parameters).map((p) => tf.sum(p))), 0);
        return { loss: tf.add(tf.mul(penalty, (settings.r1Weight / 2) * r1Every), nothing), metrics: { penalty } };
      },
    });

  const compiled = new Map<string, ReturnType<typeof compileGenerator>>();
  const once = (name: string, compile: () => ReturnType<typeof compileGenerator>): ReturnType<typeof compileGenerator> => {
    if (!compiled.has(name)) compiled.set(name, compile());
    return compiled.get(name) as ReturnType<typeof compileGenerator>;
  };
  let sampling: Promise<Sampling> | undefined;

  /** The discriminator's update and, every r1Every steps, its penalty. */
  async function judgeStep(inputs: Record<string, InputArray>, step: number): Promise<Record<string, number>> {
    const since = step - adversarialStart;
    const isLazy = settings.r1Weight > 0 && since % r1Every === 0;
    const updates = since + Math.ceil(since / r1Every); // R1 updates so far counted in
    const decay = averageDecay(step, settings.ema);
    const update = await once("discriminator", compileDiscriminator);
    const judged = await update({ ...inputs, decay, ...rateInputs(step, judging, updates) });
    const metrics: Record<string, number> = {};
    for (const [name, value] of Object.entries(scalars(judged))) metrics[`d_${name}`] = value;
    if (isLazy) {
      const penalise = await once("r1", compileR1);
      const one = Object.fromEntries(
        Object.entries(inputs).map(([name, values]) => [name, values.subarray(0, values.length / batch)]),
      );
      const outputs = await penalise({ ...one, decay, ...rateInputs(step, judging, updates + 1) });
      metrics.r1 = scalars(outputs).penalty as number;
    }
    return metrics;
  }

  return {
    step: async ({ step, noise, latent, label, tokens }: StudentBatch): Promise<Record<string, number>> => {
      const [height, width] = spec.shape;
      const adversarial = isAdversarial && step >= adversarialStart;
      const inputs: Record<string, InputArray> = {
        ...{ noise, latent, keep: new Float32Array(batch).fill(1) },
        ...(label && { label }),
        ...(tokens && { tokens }),
      };
      const update = await once(adversarial ? "adversarial" : "regression", () => compileGenerator(adversarial));
      const outputs = await update({
        ...inputs,
        draws: augmentationDraws({ seed, step, batch, height, width }),
        decay: averageDecay(step, settings.ema),
        ...rateInputs(step, settings),
      });
      const metrics = scalars(outputs);
      if (!adversarial) return metrics;
      const mask = mismatchMask({ seed, step, batch, share: settings.mismatch });
      return { ...metrics, ...(await judgeStep({ ...inputs, fake: outputs.fake as Float32Array, mask }, step)) };
    },
    /** One-step latents from the moving average. */
    sample: async (inputs: SamplerInputs): Promise<Float32Array> => {
      const plan = { solver: "euler", steps: 1, guidance: 1 } as const;
      sampling ??= createSampling({ engine, spec, network: student.average, plan, batch: inputs.rows });
      return (await sampling).sample(inputs);
    },
    ...savedState({
      ...student,
      ...(isAdversarial && { judge: discriminator.network, judgeFirst: discriminator.first, judgeSecond: discriminator.second }),
    }),
  };
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

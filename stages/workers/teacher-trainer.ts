/**
 * Trains the teacher in a worker: denoising score matching (Karras et al. 2022, eq. 2 and 8) with classifier-free
 * dropout of the condition (Ho & Salimans 2022). Step k is a pure function of the weights before it, the batch and k.
 */
import { createEngine } from "../../engine/engine.ts";
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { denoise } from "../../models/diffusion/denoise.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions, initDenoiser } from "../../models/denoiser.ts";
import type { ConditionBag } from "../../models/conditions.ts";
import { spread } from "../../models/layers.ts";
import { createParameterisation, type Preconditioning, trainingNoiseLevels } from "../../models/diffusion/parameterisation.ts";
import type { EngineSettings, Settings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createSampling, type SamplerInputs, type SamplerPlan, type Sampling } from "../../models/diffusion/sampling.ts";
import { createTraining } from "../../models/training/training.ts";

export interface TeacherTrainerOptions {
  spec: DenoiserSpec;
  settings: Settings["pretrain"]["teacher"];
  engine: EngineSettings;
  seed: number;
  /** Weights to start from; fresh ones otherwise. */
  start?: Weights;
  /** How the pictures on the way are sampled. */
  plan: SamplerPlan;
}

export interface TeacherBatch {
  step: number;
  /** Normalised clean latents, [batch * h * w * c]. */
  latent: Float32Array;
  conditions: ConditionBag;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ spec, settings, engine: where, seed, start, plan }: TeacherTrainerOptions) {
  const engine = await createEngine(deviceOf(where));
  const parameterisation = createParameterisation(spec.diffusion);
  const { batch } = settings;
  const perSample = { shape: [batch] };
  const image = { shape: [batch, ...spec.shape] };

  const training = await createTraining({
    engine,
    name: "teacher step",
    weights: start ?? initDenoiser(spec, seed),
    optimiser: settings,
    inputs: {
      ...{ clean: image, noise: image, sigma: perSample, weight: perSample },
      ...{ cSkip: perSample, cOut: perSample, cIn: perSample, cNoise: perSample },
      ...conditionInputs(spec, batch),
    },
    loss: (parameters, inputs) => {
      const { clean, noise, sigma, weight, ...rest } = inputs as Record<string, Tensor> & Preconditioning<Tensor>;
      const condition = embedConditions(spec, parameters, rest as never);
      const denoised = denoise({
        x: tf.add(clean as Tensor, tf.mul(noise as Tensor, spread(sigma as Tensor))),
        coefficients: rest,
        network: ({ x, noiseLevel }) => applyNetwork(spec, parameters, { x, noiseLevel, condition }),
      });
      const squared = tf.square(tf.sub(denoised, clean as Tensor));
      return { loss: tf.mean(tf.mul(squared, spread(weight as Tensor))), metrics: {} };
    },
  });

  let sampling: Promise<Sampling> | undefined;

  return {
    step: async ({ step, latent, conditions }: TeacherBatch): Promise<Record<string, number>> => {
      const draw = { seed, offset: step * batch, length: batch };
      const kept = uniforms({ ...draw, stream: "teacher/keep" });
      return training.step(step, {
        clean: latent,
        noise: normals({ seed, stream: "teacher/noise", offset: step * latent.length, length: latent.length }),
        ...trainingNoiseLevels({ ...draw, parameterisation, stream: "teacher/sigma" }),
        keep: Float32Array.from(kept, (u) => (u < settings.dropCondition ? 0 : 1)),
        ...conditions,
      });
    },
    /** Latents from the moving average. */
    sample: async (inputs: SamplerInputs): Promise<Float32Array> => {
      sampling ??= createSampling({ engine, spec, network: training.average, plan, batch: inputs.rows });
      return (await sampling).sample(inputs);
    },
    save: training.save,
    load: training.load,
  };
}

export type TeacherTrainer = Awaited<ReturnType<typeof create>>;

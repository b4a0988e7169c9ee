/** Trains the perceptual network in a worker: a classifier of latents under the augmentations of E-LatentLPIPS. */
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { augmentationDraws, DRAW_SIZE } from "../../models/losses/augment.ts";
import { initPerceptual, type PerceptualConfig, perceptualLoss } from "../../models/losses/perceptual.ts";
import type { EngineSettings, OptimiserSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createTraining } from "../../models/training/training.ts";

export interface PerceptualTrainerOptions {
  config: PerceptualConfig;
  settings: OptimiserSettings;
  engine: EngineSettings;
  seed: number;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ config, settings, engine: where, seed }: PerceptualTrainerOptions) {
  const engine = await createEngine(deviceOf(where));
  const { batch } = settings;
  const [height, width] = config.shape;
  const training = await createTraining({
    engine,
    name: "perceptual step",
    weights: initPerceptual(config, seed),
    optimiser: settings,
    inputs: {
      latents: { shape: [batch, ...config.shape] },
      targets: { shape: [batch, config.classes + config.words.length] },
      draws: { shape: [batch, DRAW_SIZE] },
    },
    loss: (parameters, inputs) => perceptualLoss({ config, parameters, ...(inputs as Record<"latents" | "targets" | "draws", Tensor>) }),
  });
  return {
    /** Normalised latents [batch * h * w * c] and targets [batch * (classes + words)]. */
    step: async ({
      step,
      latents,
      targets,
    }: {
      step: number;
      latents: Float32Array;
      targets: Float32Array;
    }): Promise<Record<string, number>> =>
      training.step(step, { latents, targets, draws: augmentationDraws({ seed, step, batch, height, width }) }),
    save: training.save,
    load: training.load,
  };
}

export type PerceptualTrainer = Awaited<ReturnType<typeof create>>;

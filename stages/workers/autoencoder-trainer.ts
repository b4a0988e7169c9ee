/** Trains our autoencoder in a worker. */
import { createEngine, type Program } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { autoencoderLoss } from "../../models/losses/reconstruction.ts";
import { type AutoencoderConfig, decode, encode, initAutoencoder, latentShape } from "../../models/codecs/autoencoder.ts";
import type { EngineSettings, OptimiserSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createTraining } from "../../models/training/training.ts";

export interface AutoencoderTrainerOptions {
  config: AutoencoderConfig;
  imageSize: number;
  settings: OptimiserSettings;
  engine: EngineSettings;
  seed: number;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ config, imageSize, settings, engine: where, seed }: AutoencoderTrainerOptions) {
  const engine = await createEngine(deviceOf(where));
  const images = { shape: [settings.batch, imageSize, imageSize, 3] };
  const latent = { shape: [settings.batch, ...latentShape(config, imageSize)] };
  const length = latent.shape.reduce((a, b) => a * b, 1);
  const training = await createTraining({
    engine,
    name: "autoencoder step",
    weights: initAutoencoder(config, seed),
    optimiser: settings,
    inputs: { images, noise: latent },
    loss: (parameters, inputs) => autoencoderLoss({ config, parameters, ...(inputs as { images: Tensor; noise: Tensor }) }),
  });
  let roundTrip: Promise<Program> | undefined;
  return {
    /** `images` [batch * size * size * 3] in [-1, 1]. */
    step: async ({ step, images: x }: { step: number; images: Float32Array }): Promise<Record<string, number>> =>
      training.step(step, { images: x, noise: normals({ seed, stream: "autoencoder/noise", offset: step * length, length }) }),
    /** Images through the moving average's encoder and decoder, one batch. */
    reconstruct: async (x: Float32Array): Promise<Float32Array> => {
      roundTrip ??= engine.compile({
        name: "autoencoder round trip",
        sets: { average: training.average },
        inputs: { images },
        run: ({ average }, { images: given }) => ({
          outputs: { decoded: decode(config, average, encode(config, average, given as Tensor)) },
        }),
      });
      return (await (await roundTrip).run({ images: x })).decoded as Float32Array;
    },
    save: training.save,
    load: training.load,
  };
}

export type AutoencoderTrainer = Awaited<ReturnType<typeof create>>;

/** The perceptual network: a classifier of latents, trained on labels and caption words, whose features losses compare. */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { augmentationDraws, DRAW_SIZE } from "../models/losses/augment.ts";
import { initPerceptual, type PerceptualConfig, perceptualLoss } from "../models/losses/perceptual.ts";
import { count } from "../schemas/settings.ts";
import type { Method } from "./method.ts";

const settings = z.strictObject({
  width: count.default(32), // channels of the first stage
});
type PerceptualSettings = z.infer<typeof settings>;

export const method: Method<PerceptualSettings> = {
  name: "perceptual",
  about: "a perceptual network of latents, as LatentLPIPS needs it",
  source: "Kang et al., Distilling Diffusion Models into Conditional GANs, ECCV 2024, section 3.2",
  makes: "perceptual",
  settings,
  needs: () => ({ rows: "latents", frozen: [] }),
  parts: ({ subject, seed, optimiser }) => ({
    perceptual: { from: () => initPerceptual(subject.perceptual as PerceptualConfig, seed), train: "all", average: optimiser.ema },
  }),
  programs: ({ subject, optimiser: { batch } }) => {
    const config = subject.perceptual as PerceptualConfig;
    return {
      step: {
        trains: "perceptual",
        inputs: {
          latents: { shape: [batch, ...config.shape] },
          targets: { shape: [batch, config.classes + config.words.length] },
          draws: { shape: [batch, DRAW_SIZE] },
        },
        loss: (parameters, inputs) =>
          perceptualLoss({ config, parameters, ...(inputs as Record<"latents" | "targets" | "draws", Tensor>) }),
      },
    };
  },
  step: async ({ step, latent, conditions }, { optimiser: { batch }, seed, subject }, run) => {
    const [height, width] = (subject.perceptual as PerceptualConfig).shape;
    return run("step", { latents: latent as Float32Array, ...conditions, draws: augmentationDraws({ seed, step, batch, height, width }) });
  },
  figures: [
    { title: "Classes told right", label: "share", figures: { accuracy: "accuracy" } },
    { title: "Caption words found", label: "F1", figures: { f1: "F1" } },
  ],
};

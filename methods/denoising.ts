/**
 * Denoising score matching (Karras et al. 2022, eq. 2 and 8) with classifier-free dropout of the condition (Ho & Salimans
 * 2022): how a teacher is trained on latents.
 */
import * as z from "zod";
import { initDenoiser } from "../models/denoiser.ts";
import { denoisingLoss, noisedInputs } from "../models/diffusion/noised.ts";
import { createParameterisation, trainingNoiseLevels } from "../models/diffusion/parameterisation.ts";
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import { fraction } from "../schemas/settings.ts";
import { type Method, teacherOf } from "./method.ts";
import { dropConditionFit } from "./fit/dropped-conditions.ts";

const settings = z.strictObject({
  dropCondition: fraction.default(0.1), // share of samples that train the unconditional prediction of guidance
});
type DenoisingSettings = z.infer<typeof settings>;

export const method: Method<DenoisingSettings> = {
  name: "denoising",
  about: "a teacher: the network learns to remove noise of every level",
  source: "Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022",
  makes: "teacher",
  settings,
  rules: {
    fit: [...dropConditionFit("simulate.guidance", ({ settings }) => settings.simulate.guidance)],
    idle: [
      {
        settings: ["dropCondition"],
        why: ({ isConditional }) => (isConditional ? undefined : "there is no condition to drop (network.condition is none)"),
      },
    ],
  },
  needs: () => ({ rows: "latents", frozen: [] }),
  parts: ({ subject, seed, optimiser }) => ({
    teacher: { from: () => initDenoiser(teacherOf({ subject }), seed), train: "all", average: optimiser.ema },
  }),
  programs: ({ subject, optimiser: { batch } }) => {
    const spec = teacherOf({ subject });
    return {
      step: {
        trains: "teacher",
        inputs: noisedInputs(spec, batch),
        loss: (parameters, inputs) => ({ loss: denoisingLoss(spec, parameters, inputs), metrics: {} }),
      },
    };
  },
  step: async ({ step, latent, conditions }, { settings, optimiser: { batch }, seed, subject }, run) => {
    const clean = latent as Float32Array;
    const parameterisation = createParameterisation(teacherOf({ subject }).diffusion);
    const draw = { seed, offset: step * batch, length: batch };
    const kept = uniforms({ ...draw, stream: "teacher/keep" });
    return run("step", {
      clean,
      noise: normals({ seed, stream: "teacher/noise", offset: step * clean.length, length: clean.length }),
      ...trainingNoiseLevels({ ...draw, parameterisation, stream: "teacher/sigma" }),
      keep: Float32Array.from(kept, (u) => (u < settings.dropCondition ? 0 : 1)),
      ...conditions,
    });
  },
  figures: [],
};

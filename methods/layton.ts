/**
 * Layton's consistency decoder: a control branch beside a frozen teacher draws an image from the codes of its tokens. It learns to
 * denoise under control first, then in one or two steps from noise by what the decoded image looks like, on a few-step
 * student where one is given (docs/METHODS.md 8). The tokens come of `pretrain tokenizer`, new ones of `pretrain prior`.
 */
import * as z from "zod";
import { stopGradient } from "../engine/ops.ts";
import { type Tensor, tf } from "../engine/tfjs.ts";
import { decodedImages } from "../models/codecs/decoded.ts";
import { conditionInputs, withControl } from "../models/denoiser.ts";
import { fewShares, renoised, renoisingSampler } from "../models/diffusion/few-steps.ts";
import { denoiserOf } from "../models/diffusion/levels.ts";
import { denoisingLoss, noisedInputs } from "../models/diffusion/noised.ts";
import { createParameterisation, trainingNoiseLevels } from "../models/diffusion/parameterisation.ts";
import { levelAt } from "../models/diffusion/schedule.ts";
import { tracedFeatureSets } from "../models/features/traced.ts";
import type { Parameters } from "../models/layers.ts";
import { squaredError } from "../models/losses/difference.ts";
import { weighted } from "../models/losses/terms.ts";
import { featureDifference } from "../models/losses/distance.ts";
import { codesOfLatents, gridOf, type ImageTokenizerConfig } from "../models/tokens/image-tokenizer.ts";
import type { Rules } from "../schemas/fit.ts";
import { normals } from "../schemas/numbers/philox.ts";
import { count, rate, weight } from "../schemas/settings.ts";
import {
  type Asked,
  type Batch,
  type Inputs,
  type Job,
  type Kit as AnyKit,
  type Method,
  type Run,
  type Update,
  studentOf,
} from "./method.ts";

const settings = z.strictObject({
  phase: z.enum(["all", "diffusion", "pixel"]).default("all"), // all: denoise under control, then the picture itself
  diffusionSteps: count.default(4000), // of the first phase; train.steps are those of the second
  diffusionRate: rate.default(1e-3), // learning rate of the first phase
  calls: z.int().min(1).max(4).default(2), // network calls from noise to picture in the second phase; only the last has a gradient
  featureWeight: weight.default(1), // LPIPS of the decoded pictures over train.features
  latentWeight: weight.default(1), // squared difference of latents, which the paper does not name
});
type LaytonSettings = z.infer<typeof settings>;
type Kit = AnyKit<LaytonSettings>;

const rules: Rules<Asked<LaytonSettings>> = {
  fit: [
    {
      settings: ["featureWeight", "latentWeight"],
      why: ({ own }) =>
        own.phase === "diffusion" || own.featureWeight + own.latentWeight > 0
          ? undefined
          : "nothing is left to learn a picture from; give one of them a weight",
    },
  ],
  idle: [
    {
      settings: ["diffusionSteps", "diffusionRate"],
      why: ({ own }) => (own.phase === "all" ? undefined : `it is of the phases together, and only one is asked for (phase=${own.phase})`),
    },
    {
      settings: ["calls", "featureWeight", "latentWeight"],
      why: ({ own }) => (own.phase === "diffusion" ? "it is of the pixel phase, which is not asked for (phase)" : undefined),
    },
  ],
};

export const method: Method<LaytonSettings> = {
  name: "layton",
  about: "a control branch that draws images from the codes of their tokens in one or two steps",
  source: "Xie et al., Layton: Latent Consistency Tokenizer for 1024-pixel Image Reconstruction and Generation by 256 Tokens, 2025",
  makes: "student",
  settings,
  rules,
  needs: ({ phase, featureWeight }) => ({
    rows: "latents",
    frozen: ["teacher", "tokenizer", ...(phase === "diffusion" || featureWeight === 0 ? [] : ["codec", "features"])],
    ...(phase !== "diffusion" && { uses: ["fewStep"] }),
  }),
  phases: (own) =>
    own.phase !== "all"
      ? []
      : [
          {
            name: "diffusion",
            train: { phase: "diffusion" },
            optimiser: { steps: own.diffusionSteps, learningRate: own.diffusionRate },
          },
          { name: "pixel", train: { phase: "pixel" } },
        ],
  divide: (_, steps) => ({ own: { diffusionSteps: Math.floor(steps / 2) }, steps: Math.ceil(steps / 2) }),
  student: (_, spec, { imageTokenizer }) => {
    if (!imageTokenizer) throw new Error('Cannot make Layton\'s decoder without role "tokenizer"');
    const [height, width] = gridOf(imageTokenizer);
    return { ...spec, network: { ...spec.network, control: { height, width, dimension: imageTokenizer.dimension } } };
  },
  // A few-step student takes the place of the teacher's own network, not of the branch that the first phase trained.
  parts: ({ subject, weights, seed, optimiser }) => ({
    student: {
      from: () => withControl(studentOf({ subject }), { ...weights.teacher, ...weights.fewStep }, seed),
      train: { only: ["control"] },
      average: optimiser.ema,
    },
  }),
  programs: (kit): Record<string, Update> =>
    kit.settings.phase === "diffusion" ? { diffusion: diffusionUpdate(kit) } : { pixel: pixelUpdate(kit) },
  step: (batch, job, run) => (job.settings.phase === "diffusion" ? diffusionStep : pixelStep)(batch, job, run),
  sampler: (own, subject) => renoisingSampler({ usual: own.calls, calls: [1, 2, 3, 4], levels: (calls) => levelsOf(subject, calls) }),
  figures: [
    { title: "Denoising under control", label: "loss", figures: { denoising: "denoising" }, log: true },
    { title: "Differences of pictures", label: "loss", figures: { features: "features", latent: "latents" }, log: true },
  ],
};

type Subjected = Pick<Job<LaytonSettings>, "subject">;

/** Falling noise levels at which so many calls are made. */
function levelsOf(subject: Subjected["subject"], calls: number): number[] {
  const at = levelAt(createParameterisation(studentOf({ subject }).diffusion));
  return fewShares(calls).map(at);
}

/** Inputs of a program but for the codes, which it makes of the latents itself. */
function withoutCodes({ codes: _, ...inputs }: Inputs): Inputs {
  return inputs;
}

const codesOf = ({ subject }: Subjected, tokenizer: Parameters | undefined, latents: Tensor): Tensor =>
  codesOfLatents(subject.imageTokenizer as ImageTokenizerConfig, tokenizer ?? {}, latents);

/** The denoising loss of the network under control. */
function diffusionUpdate(kit: Kit): Update {
  const spec = studentOf(kit);
  return {
    trains: "student",
    reads: ["tokenizer"],
    inputs: withoutCodes(noisedInputs(spec, kit.optimiser.batch)),
    loss: (parameters, inputs, { tokenizer }) => {
      const codes = codesOf(kit, tokenizer, inputs.clean as Tensor);
      const denoising = denoisingLoss(spec, parameters, { ...inputs, codes });
      return { loss: denoising, metrics: { denoising } };
    },
  };
}

function diffusionStep({ step, latent, conditions }: Batch, job: Job<LaytonSettings>, run: Run) {
  const { seed } = job;
  const { batch: length } = job.optimiser;
  const clean = latent as Float32Array;
  const draw = { seed, offset: step * length, length };
  const parameterisation = createParameterisation(studentOf(job).diffusion);
  return run("diffusion", {
    clean,
    noise: normals({ seed, stream: "layton/noise", offset: step * clean.length, length: clean.length }),
    ...trainingNoiseLevels({ parameterisation, stream: "layton/levels", ...draw }),
    ...dropped(conditions, length),
  });
}

/** Conditions that count for nothing: all that a picture shows stands in its codes. */
function dropped({ codes: _, ...conditions }: Batch["conditions"], rows: number): Batch["conditions"] {
  return { ...conditions, keep: new Float32Array(rows) };
}

/** From noise to the picture in a few calls, the last of which learns. */
function pixelUpdate(kit: Kit): Update {
  const { settings: own, subject, optimiser } = kit;
  const { batch } = optimiser;
  const spec = studentOf(kit);
  const levels = levelsOf(subject, own.calls);
  const drawn = { shape: [batch, ...spec.shape] };
  const looks = own.featureWeight > 0;
  const differ = looks ? differenceOf(kit) : undefined;
  return {
    trains: "student",
    reads: ["tokenizer", ...(looks ? ["codec", "features"] : [])],
    inputs: {
      ...withoutCodes(conditionInputs(spec, batch)),
      latent: drawn,
      ...Object.fromEntries(levels.map((_, i) => [`noise.${i}`, drawn])),
    },
    loss: (parameters, { latent, ...inputs }, read) => {
      const clean = latent as Tensor;
      const codes = codesOf(kit, read.tokenizer, clean);
      const predict = denoiserOf({ spec, parameters, given: { ...inputs, codes } });
      let asked = 0;
      const made = renoised({
        levels,
        draws: levels.map((_, i) => inputs[`noise.${i}`] as Tensor),
        predict: (x, sigma) => (++asked < levels.length ? stopGradient(predict(x, sigma)) : predict(x, sigma)),
      });
      const difference = squaredError(made, clean);
      const features = differ?.(made, clean, read);
      return weighted({ latent: [difference, own.latentWeight], ...(features && { features: [features, own.featureWeight] }) });
    },
  };
}

/** LPIPS of the pictures that two latents decode to. */
function differenceOf({ subject: { codec, statistics, spec, features } }: Kit) {
  if (!codec || !statistics || !spec || !features) throw new Error('Cannot compare pictures without roles "codec" and "features"');
  const decode = decodedImages({ codec, statistics, sigmaData: spec.diffusion.sigmaData });
  const taps = tracedFeatureSets(features);
  return (a: Tensor, b: Tensor, read: Record<string, Parameters>): Tensor => {
    const maps = (latents: Tensor): Tensor[] => taps(read.features ?? {}, decode(read.codec ?? {}, latents)).flat();
    return tf.mean(featureDifference(maps(a), maps(b)));
  };
}

function pixelStep({ step, latent, conditions }: Batch, job: Job<LaytonSettings>, run: Run) {
  const { settings: own, seed, optimiser } = job;
  const clean = latent as Float32Array;
  const draws = levelsOf(job.subject, own.calls).map((_, i) => {
    const stream = `layton/noise/${i}`;
    return [`noise.${i}`, normals({ seed, stream, offset: step * clean.length, length: clean.length })] as const;
  });
  return run("pixel", { latent: clean, ...Object.fromEntries(draws), ...dropped(conditions, optimiser.batch) });
}

/**
 * InstaFlow: a teacher's noise and results are joined by straight lines, along which a network learns the velocity (reflow);
 * its own, straighter results are then distilled into one step, first by squared error, then perceptually (docs/METHODS.md 4).
 * The reflow may be repeated on its own results, and the one step may be two networks in series.
 *
 * The line X_t = t X1 + (1 - t) X0 from noise X0 to result X1 is, divided by t, our state X1 + sigma X0 with
 * sigma = (1 - t) / t, so the teacher's network serves as it is: its velocity is v = (D - X_t) / (1 - t).
 */
import * as z from "zod";
import type { Tensor } from "../engine/tfjs.ts";
import { elements, type Weights } from "../engine/weights.ts";
import { conditionInputs, type DenoiserSpec, stackedWeights } from "../models/denoiser.ts";
import { denoisingLoss, noisedInputs } from "../models/diffusion/noised.ts";
import { generate } from "../models/diffusion/one-step.ts";
import { createParameterisation, noiseLevels } from "../models/diffusion/parameterisation.ts";
import { pathStraightness } from "../models/diffusion/straightness.ts";
import type { Parameters } from "../models/layers.ts";
import { augmentationDraws, DRAW_SIZE } from "../models/losses/augment.ts";
import { squaredError } from "../models/losses/difference.ts";
import { latentDistance } from "../models/losses/latent-distance.ts";
import { adapterSchema } from "../models/training/adapters.ts";
import { normals, uniforms } from "../schemas/numbers/philox.ts";
import type { Rules } from "../schemas/fit.ts";
import { count, fraction, rate } from "../schemas/settings.ts";
import { adapterFit } from "./fit/adapter.ts";
import {
  type Asked,
  type Batch,
  type Job,
  type Kit,
  type Look,
  type Losses,
  type Method,
  type Phase,
  type Program,
  type Run,
  type Update,
  teacherOf,
} from "./method.ts";

const settings = z.strictObject({
  phase: z.enum(["all", "reflow", "distil"]).default("all"), // all: reflow, new pairs, distil, one after the other
  reflows: count.optional(), // how often it is reflowed, each time onto pairs of the flow before; once unless set
  reflowSteps: count.default(8000), // of the velocity on straight lines; train.steps are those of the distillation
  reflowRate: rate.default(1e-3), // learning rate of the reflow
  dropCondition: fraction.default(0.1), // share of reflow's samples that keep the unconditional velocity alive, for guidance
  pairSteps: count.default(25), // Euler steps in which the reflowed network makes the pairs it is distilled from
  pairGuidance: z.number().nonnegative().default(1.5), // its guidance scale then
  stack: z.int().min(1).max(2).optional(), // 2: the student is two networks in series, each begun as the reflowed one (InstaFlow-1.7B)
  squaredPart: fraction.default(0.5), // first part of the distillation, by squared error; the rest is perceptual
  adapter: adapterSchema.default("all"), // what is trained: all, {lora: {rank, alpha, targets}} or {only: [...]}
});
type InstaflowSettings = z.infer<typeof settings>;

/** The settings that a phase by itself does not read: those of the others. */
const idleIn: Readonly<Record<string, readonly string[]>> = {
  reflow: ["reflows", "reflowSteps", "reflowRate", "pairSteps", "pairGuidance", "stack", "squaredPart"],
  distil: ["reflows", "reflowSteps", "reflowRate", "dropCondition", "pairSteps", "pairGuidance"],
};

const rules: Rules<Asked<InstaflowSettings>> = {
  fit: [
    {
      settings: ["dropCondition", "pairGuidance"],
      why: ({ own, isConditional }) =>
        isConditional && own.phase === "all" && own.dropCondition === 0 && own.pairGuidance !== 1
          ? "guidance takes the unconditional velocity, which reflow then never trains; set pairGuidance to 1, or drop some conditions"
          : undefined,
    },
    {
      settings: ["seed", "phase"],
      why: ({ own, settings: { seed } }) =>
        own.phase === "all" && seed + 2 * reflowsOf(own) > Number.MAX_SAFE_INTEGER
          ? `its phases take this seed and the ${2 * reflowsOf(own)} after it, below 2^53`
          : undefined,
    },
    adapterFit((own, teacher) => [
      ...(own.phase === "distil" ? [] : [teacher]),
      ...(own.phase === "reflow" ? [] : [distilled(own, teacher)]),
    ]),
  ],
  idle: [
    ...Object.entries(idleIn).map(([phase, settings]) => ({
      settings,
      why: ({ own }: Asked<InstaflowSettings>) => (own.phase === phase ? `it is of another phase than ${phase} (phase)` : undefined),
    })),
    {
      settings: ["dropCondition", "pairGuidance"],
      why: ({ isConditional }) => (isConditional ? undefined : "the teacher takes no conditions (network.condition is none)"),
    },
  ],
};

export const method: Method<InstaflowSettings> = {
  name: "instaflow",
  about: "reflow onto straight lines from noise to result, then one step distilled from that flow",
  source: "Liu et al., InstaFlow: One Step is Enough for High-Quality Diffusion-Based Text-to-Image Generation, ICLR 2024",
  makes: "student",
  settings,
  rules,
  needs: ({ phase }) => ({ rows: "triples", frozen: ["teacher"], ...(phase !== "reflow" && { uses: ["perceptual"] }) }),
  phases: (own) =>
    own.phase !== "all"
      ? []
      : [...Array.from({ length: reflowsOf(own) }, (_, i) => reflowing(own, i)).flat(), { name: "distil", train: { phase: "distil" } }],
  divide: (own, steps) => {
    const reflowSteps = Math.floor(steps / 2 / reflowsOf(own)); // one half to the reflows together
    return { own: { reflowSteps }, steps: steps - reflowsOf(own) * reflowSteps };
  },
  student: (own, spec) => (own.phase === "distil" ? distilled(own, spec) : spec),
  parts: ({ settings: { adapter }, optimiser, subject, weights }) => ({
    student: {
      from: subject.student ? () => stackedWeights(teacherOf({ subject }), weights.teacher as Weights) : "teacher",
      train: adapter,
      average: optimiser.ema,
    },
  }),
  programs: (kit): Record<string, Program> =>
    kit.settings.phase === "reflow"
      ? { reflow: reflowUpdate(kit), paths: pathsLook(kit) }
      : { squared: distilUpdate(kit, { isPerceptual: false }), perceptual: distilUpdate(kit, { isPerceptual: true }) },
  step: (batch, job, run) => (job.settings.phase === "reflow" ? reflowStep : distilStep)(batch, job, run),
  sampler: ({ phase }, { spec }) =>
    phase === "reflow"
      ? { times: "any", between: "ode", guidance: 1 }
      : { times: [(spec as DenoiserSpec).diffusion.sigmaMax], between: "ode", guidance: 1 },
  figures: [
    {
      title: "Straightness: squared error of the velocity",
      label: "S",
      figures: { straightness: "of lines between pairs", paths: "of its own paths" },
      log: true,
    },
    { title: "Differences to the result", label: "loss", figures: { squared: "squared", perceptual: "perceptual" }, log: true },
  ],
  rare: ["paths"],
};

const reflowsOf = ({ reflows = 1 }: Pick<InstaflowSettings, "reflows">): number => reflows;

/**
 * The phases of one reflow: the velocity is learned on what its teacher made, then makes pairs. Between two reflows it does so
 * without guidance, as the paths get straighter of the flow's own results; those that are distilled are guided.
 */
function reflowing(own: InstaflowSettings, index: number): readonly Phase<InstaflowSettings>[] {
  const [count, number] = [reflowsOf(own), index + 1];
  const nameOf = (name: string): string => (count === 1 ? name : `${name}-${number}`);
  const guidance = number === count ? own.pairGuidance : 1;
  return [
    { name: nameOf("reflow"), train: { phase: "reflow" }, optimiser: { steps: own.reflowSteps, learningRate: own.reflowRate } },
    { name: nameOf("pairs"), simulate: { solver: "euler", steps: own.pairSteps, guidance } },
  ];
}

/** The network that is distilled into. */
const distilled = ({ stack }: Pick<InstaflowSettings, "stack">, spec: DenoiserSpec): DenoiserSpec =>
  stack === 2 ? { ...spec, network: { ...spec.network, stack } } : spec;

/** The velocity's squared error on straight lines: |v - (X1 - X0)|^2 = |D - X1|^2 / (1 - t)^2, whose mean is the straightness S. */
function reflowUpdate({ subject, optimiser: { batch } }: Kit<InstaflowSettings>): Update {
  const spec = teacherOf({ subject });
  return {
    trains: "student",
    inputs: noisedInputs(spec, batch),
    loss: (parameters, inputs) => {
      const straightness = denoisingLoss(spec, parameters, inputs);
      return { loss: straightness, metrics: { straightness } };
    },
  };
}

/** Euler steps along the paths whose straightness is looked at, and how often a training looks besides at its beginning. */
const PATH_STEPS = 8;
const LOOKS = 8;

/** How straight the paths of the flow itself are: of the EMA, from noise that no store holds, the same each time. */
function pathsLook(kit: Kit<InstaflowSettings>): Look {
  const spec = teacherOf(kit);
  const { batch } = kit.optimiser;
  return {
    reads: ["student"],
    inputs: { noise: { shape: [batch, ...spec.shape] }, ...conditionInputs(spec, batch) },
    outputs: ({ student }, { noise, ...given }) => ({
      paths: pathStraightness({ spec, parameters: student as Parameters, noise: noise as Tensor, given, steps: PATH_STEPS }),
    }),
  };
}

/** Before its first step, then eight times after one, the last among them, the straightness of the flow's own paths is looked at too. */
async function reflowStep(batch: Batch, job: Job<InstaflowSettings>, run: Run) {
  const { optimiser, seed } = job;
  const { batch: rows, steps } = optimiser;
  const look = () => {
    const noise = normals({ seed, stream: "instaflow/paths", length: rows * elements(teacherOf(job).shape) });
    return run("paths", { noise, ...batch.conditions, keep: new Float32Array(rows).fill(1) });
  };
  const done = batch.step + 1;
  const before = batch.step === 0 ? await look() : {};
  const figures = await lineStep(batch, job, run);
  const after = done === steps || (done > 1 && done % Math.ceil(steps / LOOKS) === 0) ? await look() : {};
  return { ...figures, ...before, ...after };
}

async function lineStep({ step, noise, latent, conditions }: Batch, job: Job<InstaflowSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch: length } = optimiser;
  const draw = { seed, offset: step * length, length };
  const times = uniforms({ ...draw, stream: "instaflow/time" });
  const kept = uniforms({ ...draw, stream: "instaflow/keep" });
  return run("reflow", {
    noise: noise as Float32Array,
    clean: latent as Float32Array,
    ...lineLevels(teacherOf(job), times),
    keep: Float32Array.from(kept, (u) => (u < own.dropCondition ? 0 : 1)),
    ...conditions,
  });
}

/** Noise levels and coefficients at times t of straight lines, [length]; `weight` is 1 / (1 - t)^2 = ((1 + sigma) / sigma)^2. */
export function lineLevels(spec: DenoiserSpec, times: ArrayLike<number>) {
  const parameterisation = createParameterisation(spec.diffusion);
  const { sigmaMin, sigmaMax } = parameterisation;
  const sigmas = Float64Array.from(times, (t) => Math.min(sigmaMax, Math.max(sigmaMin, (1 - t) / t)));
  const { weight: _, ...levels } = noiseLevels(parameterisation, sigmas);
  return { ...levels, weight: Float32Array.from(sigmas, (sigma) => ((1 + sigma) / sigma) ** 2) };
}

/** One step from noise against the reflowed network's result. */
function distilUpdate(kit: Kit<InstaflowSettings>, { isPerceptual }: { isPerceptual: boolean }): Update {
  const { subject, optimiser } = kit;
  const { batch } = optimiser;
  const spec = teacherOf(kit);
  const student = subject.student ?? spec;
  const image = { shape: [batch, ...spec.shape] };
  const { role: features, between } = latentDistance({ spec, perceptual: subject.perceptual });
  return {
    trains: "student",
    ...(isPerceptual && { reads: [features] }),
    inputs: { noise: image, latent: image, ...conditionInputs(spec, batch), ...(isPerceptual && { draws: { shape: [batch, DRAW_SIZE] } }) },
    loss: (parameters, inputs, read): Losses => {
      const { noise, latent, draws, ...given } = inputs as Record<"noise" | "latent" | "draws", Tensor>;
      const made = generate(student, parameters, noise, given);
      const squared = squaredError(made, latent);
      if (!isPerceptual) return { loss: squared, metrics: { squared } };
      const perceptual = between(made, latent, read[features] as Parameters, draws);
      return { loss: perceptual, metrics: { squared, perceptual } };
    },
  };
}

async function distilStep({ step, noise, latent, conditions }: Batch, job: Job<InstaflowSettings>, run: Run) {
  const { settings: own, optimiser, seed } = job;
  const { batch, steps } = optimiser;
  const keep = new Float32Array(batch).fill(1);
  const pairs = { noise: noise as Float32Array, latent: latent as Float32Array, ...conditions, keep };
  if (step < steps * own.squaredPart) return run("squared", pairs);
  const [height, width] = teacherOf(job).shape;
  return run("perceptual", { ...pairs, draws: augmentationDraws({ seed, step, batch, height, width }) });
}

/**
 * How diffusers asks a network at the very noise levels at which its student is asked here: a scheduler's config, the arguments of a
 * call, and what no scheduler can say.
 */
import { numbers } from "../../../models/diffusion/arithmetic.ts";
import { createParameterisation, type Parameterisation } from "../../../models/diffusion/parameterisation.ts";
import { betaKeys } from "../../../models/diffusion/published-betas.ts";
import { publishedSchedule } from "../../../models/diffusion/published-schedule.ts";
import { spaced } from "../../../models/diffusion/published-timesteps.ts";
import { ONE_STEP, planOf } from "../../../models/diffusion/sampler-plan.ts";
import type { DenoiserDescription } from "../../../schemas/model.ts";
import { sizeArguments } from "./size.ts";

export interface Asking {
  /** The scheduler_config.json. */
  scheduler: Record<string, unknown> & { _class_name: string };
  /** Arguments of the pipeline's call beside the prompt, in Python. */
  call: Record<string, string>;
  /** Sentences: what else a caller must know. */
  notes: string[];
}

/** Pipelines that start from the noise as it is, whatever their scheduler says of its deviation, and take no noise levels. */
const PLAIN = /^(DDPM|DDIM|DiT)Pipeline$/;

/** A student is asked once, or at a few levels: along the ODE, or by fresh noise between. */
interface Levels {
  sigmas: readonly number[];
  isRenoised: boolean;
  parameterisation: Parameterisation;
}

/** How a student of a published network is asked in a pipeline of this class. */
export function askingOf(description: DenoiserDescription, pipeline: string): Asking {
  const { spec, sampler } = description;
  const schedule = spec.diffusion.schedule as Record<string, unknown>;
  const parameterisation = createParameterisation(spec.diffusion);
  const plan = planOf(description, ONE_STEP);
  const times = "times" in plan ? plan.times : [parameterisation.sigmaMax];
  const sigmas = times.map((sigma) => Math.min(sigma, parameterisation.sigmaMax));
  const levels = { sigmas, isRenoised: "times" in plan && plan.between === "renoise" && sigmas.length > 1, parameterisation };
  const hasTable = publishedSchedule({ json: schedule, file: "diffusion.schedule" }).products !== undefined;
  const asking = !hasTable ? byFlow(schedule, levels) : PLAIN.test(pipeline) ? bySteps(schedule, levels) : byLevels(schedule, levels);
  return {
    scheduler: asking.scheduler,
    call: {
      ...asking.call,
      ...sizeArguments(description, pipeline),
      ...(pipeline.startsWith("DD") ? {} : { guidance_scale: String(plan.guidance) }),
    },
    notes: [...asking.notes, ...(sampler?.prior ? [priorNote(sampler.prior, sigmas[0] as number)] : [])],
  };
}

/** What is kept of the schedule that the network was trained with. */
function trainedWith(schedule: Record<string, unknown>): Record<string, unknown> {
  const kept = [...Object.keys(betaKeys), "prediction_type", "rescale_betas_zero_snr", "steps_offset"];
  return Object.fromEntries(kept.flatMap((key) => (key in schedule ? [[key, schedule[key]]] : [])));
}

/** By Euler's method over sigma: its step to 0 is the clean prediction, its input x / sqrt(1 + sigma^2), its start sigma times noise. */
function byLevels(schedule: Record<string, unknown>, levels: Levels): Asking {
  const { sigmas, isRenoised, parameterisation } = levels;
  if (isRenoised) return byFreshNoise(schedule, levels, true);
  const isLast = sigmas.length === 1 && sigmas[0] === parameterisation.sigmaMax;
  return {
    scheduler: { _class_name: "EulerDiscreteScheduler", ...trainedWith(schedule), timestep_spacing: "trailing" },
    call: isLast ? { num_inference_steps: "1" } : { sigmas: listed([...sigmas, 0]) },
    notes: [],
  };
}

/** By DDIM at whole training steps, from the noise as it is. */
function bySteps(schedule: Record<string, unknown>, levels: Levels): Asking {
  if (levels.isRenoised) return byFreshNoise(schedule, levels, false);
  const ddim = { timestep_spacing: "trailing", clip_sample: false, set_alpha_to_one: true, thresholding: false };
  const spacing = spaced({ spacing: "trailing", count: levels.sigmas.length, trained: trainedSteps(schedule), offset: 0 });
  return {
    scheduler: { _class_name: "DDIMScheduler", ...trainedWith(schedule), ...ddim },
    call: { num_inference_steps: String(levels.sigmas.length) },
    notes: [startNote(levels), ...stepNote(stepsOf(levels), spacing)],
  };
}

/** By LCM's sampler: the clean prediction, and fresh noise of the next level on it. It knows whole training steps alone. */
function byFreshNoise(schedule: Record<string, unknown>, levels: Levels, takesSteps: boolean): Asking {
  const steps = stepsOf(levels);
  const whole = steps.map(Math.round);
  const lcm = { clip_sample: false, thresholding: false, original_inference_steps: steps.length };
  const own = spaced({ spacing: "trailing", count: steps.length, trained: trainedSteps(schedule), offset: 0 });
  return {
    scheduler: { _class_name: "LCMScheduler", ...trainedWith(schedule), ...lcm },
    call: takesSteps ? { timesteps: listed(whole) } : { num_inference_steps: String(steps.length) },
    notes: [startNote(levels), ...stepNote(steps, takesSteps ? whole : own)],
  };
}

/** By Euler's method over the share of noise, or by fresh noise; no shift is left to change the levels. */
function byFlow(schedule: Record<string, unknown>, { sigmas, isRenoised }: Levels): Asking {
  const shares = sigmas.map((sigma) => sigma / (1 + sigma));
  const [first = 1] = shares;
  const isWhole = first > 1 - 1e-6;
  const plain = { shift: 1, use_dynamic_shifting: false, shift_terminal: null, stochastic_sampling: isRenoised };
  const grids = { use_karras_sigmas: false, use_exponential_sigmas: false, use_beta_sigmas: false };
  const note = `For the very picture multiply the noise (latents=) by ${first}: the student was trained from that share of it.`;
  return {
    scheduler: { ...schedule, _class_name: "FlowMatchEulerDiscreteScheduler", ...plain, ...grids },
    call: shares.length === 1 && isWhole ? { num_inference_steps: "1" } : { sigmas: listed(shares) },
    notes: isWhole ? [] : [note],
  };
}

const trainedSteps = (schedule: Record<string, unknown>): number => (schedule.num_train_timesteps as number | undefined) ?? 1000;

/** Training steps of the levels, which may lie between two. */
const stepsOf = ({ sigmas, parameterisation }: Levels): number[] =>
  sigmas.map((sigma) => parameterisation.precondition(sigma, numbers).cNoise);

/** Pipelines that start from plain noise take it for a state; a state of pure noise is a little less. */
function startNote({ sigmas }: Levels): string {
  const [first] = sigmas as [number];
  const share = first / Math.sqrt(1 + first ** 2);
  const factor = share.toPrecision(6);
  return `The scheduler starts from noise of deviation 1, the student from ${factor}: for the very picture multiply the noise by that.`;
}

/** Where steps lie between those at which the scheduler can ask. */
function stepNote(steps: readonly number[], asked: readonly number[]): string[] {
  const apart = Math.max(...steps.map((step, i) => Math.abs(step - (asked[i] ?? 0))));
  if (apart < 1e-3) return [];
  return [
    `The student was trained for the steps ${listed(steps.map((step) => Number(step.toFixed(2))))}, and is asked at ${listed(asked)}.`,
  ];
}

function priorNote({ mean, std }: { mean: readonly number[]; std: readonly number[] }, sigma: number): string {
  return (
    `The student starts from a prior: latents = (mean + std * randn_like(noise)) / ${sigma} + noise, a value a channel, with ` +
    `mean = ${listed(mean)} and std = ${listed(std)}.`
  );
}

const listed = (values: readonly number[]): string => `[${values.join(", ")}]`;

/**
 * Every key of every scheduler class that is walked or laid out, set to an unusual value: the walk is then the one that diffusers takes
 * (scheduler-keys.json, which scheduler_keys.py wrote), or the sentence names file, key and value.
 */
import { readFileSync } from "node:fs";
import { publishedSchedule } from "../../models/diffusion/published-schedule.ts";
import { isFailure } from "../../schemas/failure.ts";
import { assert, suite } from "../harness.ts";
import { denoiserOf, diffusionOf, noises, toy, walked, walkOf } from "./walking.ts";

const test = suite("keys of schedulers");

interface Answer {
  timesteps: number[];
  sigmas?: number[];
  initNoiseSigma: number;
  /** Where the walk ends; absent where its steps add noise. */
  ends?: number[];
}
interface Case extends Partial<Answer> {
  key: string;
  config: Record<string, unknown>;
  /** Diffusers refuses the value, or fails with it. */
  error?: string;
}
interface Golden {
  steps: number;
  tokens: number;
  classes: Record<string, { keys: string[]; usual: Answer; cases: Case[] }>;
}
const { steps, tokens, classes } = JSON.parse(readFileSync(new URL("scheduler-keys.json", import.meta.url), "utf8")) as Golden;

/** Values that nobody takes here, though diffusers does something with some of them. */
const REFUSED: Readonly<Record<string, readonly unknown[]>> = {
  beta_schedule: ["sigmoid", "laplace"],
  prediction_type: ["flow_prediction", "noise"],
  timestep_spacing: ["logarithmic"],
  thresholding: [true],
  interpolation_type: ["log_linear"],
  timestep_type: ["continuous"],
  use_beta_sigmas: [true],
  use_lu_lambdas: [true],
  use_flow_sigmas: [true],
  solver_order: [4],
  algorithm_type: ["deis"],
  solver_type: ["bh2"],
  invert_sigmas: [true],
};
/** The same of some classes. */
const REFUSED_BY: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> = {
  PNDMScheduler: { prediction_type: ["sample"] },
  DPMSolverMultistepScheduler: { use_dynamic_shifting: [true] },
  FlowMatchEulerDiscreteScheduler: { time_shift_type: ["sigmoid"], num_train_timesteps: [500] },
};
/** Keys that change no walk by themselves: those of thresholding and of flow sigmas, which are refused, and what else a network says. */
const INERT = ["dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type", "variance_type"];

const isRefused = (className: string, { key, config }: Case): boolean =>
  [REFUSED, REFUSED_BY[className]].some((table) => table?.[key]?.includes(config[key])) ||
  (Array.isArray(config.trained_betas) && config.num_train_timesteps !== config.trained_betas.length);

for (const [className, { keys, usual, cases }] of Object.entries(classes)) {
  test(`${className}: every key is obeyed or refused`, () => {
    holdTo(className, {}, usual);
    for (const one of cases) {
      const { key, config } = one;
      const title = `${className} with ${JSON.stringify(config)}`;
      if (isRefused(className, one)) {
        const message = messageOf(() => layOut(className, config));
        assert.ok(
          message?.startsWith(`Cannot use scheduler_config.json: ${key}: ${JSON.stringify(config[key]).slice(0, 200)}`),
          `${title}: ${message}`,
        );
      } else {
        assert.is(one.error, undefined, `${title}: diffusers does not take it`);
        holdTo(className, config, one as Answer);
      }
    }
    const counts = (one: Case): boolean =>
      isRefused(className, one) || (["timesteps", "sigmas", "ends"] as const).some((of) => `${one[of]}` !== `${usual[of]}`);
    const idle = keys.filter((key) => !INERT.includes(key) && !cases.some((one) => one.key === key && counts(one)));
    assert.equal(idle, [], "keys that no case shows to count");
  });
}

const layOut = (className: string, config: object) =>
  publishedSchedule({ json: { _class_name: className, ...config }, file: "scheduler_config.json" });

function messageOf(body: () => void): string | undefined {
  try {
    body();
  } catch (error) {
    if (isFailure(error)) return (error as Error).message;
    throw error;
  }
  return undefined;
}

/** Fails unless the walk's times, levels and initial noise are those, and it ends there. */
function holdTo(className: string, config: Record<string, unknown>, expected: Answer): void {
  const title = `${className} with ${JSON.stringify(config)}`;
  const schedule = layOut(className, config);
  const given = config.use_dynamic_shifting ? { tokens } : {};
  const { timesteps, sigmas, initNoiseSigma } = schedule.visits(steps, given);
  near(timesteps, expected.timesteps, `${title}: times`);
  if (expected.sigmas) near(sigmas, expected.sigmas, `${title}: sigmas`);
  near([initNoiseSigma], [expected.initNoiseSigma], `${title}: initial noise`);
  assert.is(schedule.isDeterministic, expected.ends !== undefined, title);
  if (!expected.ends) return;
  const diffusion = {
    ...diffusionOf(className, config),
    ...(config.use_dynamic_shifting === true && { flow: { patch: 1, isEven: false } }),
  };
  const walk = walkOf(className, config, steps, diffusion, [tokens / 32, 32, 4]);
  const ends = noises.map((noise) => walked(walk, denoiserOf(diffusion, toy), noise));
  assert.close(ends, expected.ends, 1e-4 * Math.max(...expected.ends.map(Math.abs)), `${title}: ends`);
}

/** Fails unless each number is the expected one to a millionth of itself. */
function near(found: number[], expected: number[], title: string): void {
  assert.is(found.length, expected.length, title);
  const shares = found.map((value, i) => (value === expected[i] ? 1 : value / expected[i]!));
  assert.close(
    shares,
    shares.map(() => 1),
    1e-6,
    title,
  );
}

test.run();

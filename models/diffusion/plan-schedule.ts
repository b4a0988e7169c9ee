/** What a plan of samples comes to for a diffusion: the stages of the machine, where they start, and the noise that is added on the way. */
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { Trajectory } from "../../schemas/manifest.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import type { Plan, Stage } from "./machine.ts";
import { createParameterisation } from "./parameterisation.ts";
import { evenShares, type FlowGiven } from "./published-flow.ts";
import { publishedSchedule } from "./published-schedule.ts";
import type { PublishedSchedule } from "./published-visits.ts";
import type { SamplerPlan } from "./sampler-plan.ts";
import { solverGrid } from "./schedule.ts";
import { type OwnSolver, solverSteps } from "./solvers.ts";

export interface Schedule {
  stages: Plan;
  /** The first stage of each step: there x is the solution at a noise level, and no half-way point. */
  begins: number[];
  /** The deviation of the noise that is the first state. */
  start: number;
  /** The deviation of the fresh noise after each stage, or 0. */
  fresh: number[];
  /** Of published walks the scheduler's own state over x, at each stage; at the end they are the same. */
  scales?: number[];
  /** The most that a clean prediction may have where stages ask for it clipped. */
  clip?: number;
}

/** What decides a schedule beside the plan: [height, width, channels] of the latents count where a flow shifts by size. */
export type Scheduled = Pick<DenoiserSpec, "diffusion"> & { shape: readonly number[] };

type Diffusion = DenoiserSpec["diffusion"];

const publishedOf = ({ schedule }: Diffusion): PublishedSchedule | undefined =>
  schedule && publishedSchedule({ json: schedule, file: "diffusion.schedule" });

/** The solver that settings ask for: "auto" is the published walk where one is known that adds no noise, and Heun's elsewhere. */
export function solverFor(solver: SimulateSettings["solver"], diffusion: Diffusion): OwnSolver | "published" {
  if (solver !== "auto") return solver;
  const published = publishedOf(diffusion);
  return published?.isDeterministic && published.rule ? "published" : "heun";
}

/** The stages of a plan. Noise levels above the highest stand for that one: students of VP networks name the settings' sigmaMax. */
export function scheduleOf(plan: SamplerPlan, { diffusion, shape }: Scheduled): Schedule {
  const parameterisation = createParameterisation(diffusion);
  if ("solver" in plan) {
    const solver = solverFor(plan.solver, diffusion);
    if (solver === "published") return odeOf({ diffusion, shape, steps: plan.steps });
    const sigmas = solverGrid({ solver, parameterisation, steps: plan.steps });
    return ended(solverSteps({ solver, sigmas }), sigmas[0] as number);
  }
  const sigmas = [...plan.times.map((sigma) => Math.min(sigma, parameterisation.sigmaMax)), 0];
  const line = solverSteps({ solver: "euler", sigmas });
  if (plan.between === "ode") return ended(line, sigmas[0] as number);
  // Song et al. 2023, algorithm 1: all the way to the clean prediction, and from there by fresh noise to the next level.
  const steps = line.flat().map(({ sigma }): Stage[] => [{ sigma, state: 0, denoised: 1, clipped: 0, memories: [] }]);
  return { ...ended(steps, sigmas[0] as number), fresh: sigmas.slice(1) };
}

/** The published walk of a teacher. Throws a Failure where it has none, or one that follows no ODE. */
function odeOf({ diffusion, shape, steps }: Scheduled & { steps: number }): Schedule {
  const published = publishedOf(diffusion);
  const walk = published?.isDeterministic && published.rule ? walkSchedule({ diffusion, shape, steps }) : undefined;
  if (walk) return walk;
  const reason = published?.isDeterministic
    ? "its steps are not known here"
    : "its steps add noise, so no ODE leads from a noise to its picture";
  const why = published ? `as ${published.className} does: ${reason}` : "as published: the model has no scheduler_config.json";
  throw new Failure(`Cannot walk ${why} (simulate.solver=published); set simulate.solver to ddim, heun, euler or dpm++2m`);
}

/** What a pipeline tells a flow's schedule. */
function flowGiven({ diffusion: { flow }, shape: [height = 0, width = 0], steps }: Scheduled & { steps: number }): FlowGiven {
  if (!flow) return {};
  return { tokens: Math.floor(height / flow.patch) * Math.floor(width / flow.patch), ...(flow.isEven && { sigmas: evenShares(steps) }) };
}

/**
 * The walk of a published scheduler of any kind, or Heun's where a network was published without one (EDM); undefined where what a step
 * does is not known here.
 */
export function walkSchedule({ diffusion, shape, steps }: Scheduled & { steps: number }): Schedule | undefined {
  const published = publishedOf(diffusion);
  if (!published) return scheduleOf({ solver: "heun", steps, guidance: 1 }, { diffusion, shape });
  const visits = published.visits(steps, flowGiven({ diffusion, shape, steps }));
  const walk = published.rule?.(visits, steps);
  return (
    walk && {
      ...ended(walk.steps, visits.initNoiseSigma / (walk.scales[0] as number)),
      scales: walk.scales,
      ...(walk.fresh && { fresh: walk.fresh }),
      ...(published.clip !== undefined && { clip: published.clip }),
    }
  );
}

function ended(steps: readonly Stage[][], start: number): Schedule {
  const stages = steps.flat();
  let next = 0;
  const begins = steps.map(({ length }) => (next += length) - length);
  return { stages, begins, start, fresh: stages.map(() => 0) };
}

/** Network evaluations of one sample (NFE); guidance by two predictions doubles the rows of each, not their number. */
export function evaluationsOf(plan: SamplerPlan, scheduled: Scheduled): number {
  return scheduleOf(plan, scheduled).stages.length;
}

/**
 * The trajectory that these settings keep of a simulation, with the noise level of each state; undefined where they keep none. That
 * of the state before step 0, which is noise alone, is its deviation. Throws a usage failure for a step that the solver does not take.
 */
export function trajectoryOf(
  { solver, steps, guidance, trajectory: kept }: Pick<SimulateSettings, "solver" | "steps" | "guidance" | "trajectory">,
  scheduled: Scheduled,
): Trajectory | undefined {
  if (!kept) return undefined;
  const wrong = kept.find((step) => step >= steps);
  if (wrong !== undefined) {
    throw badUsage(
      `Cannot keep the state before solver step ${wrong} (simulate.trajectory): with simulate.steps=${steps} the steps are ` +
        `0 to ${steps - 1}, and the state after the last is the result`,
    );
  }
  const { stages, begins, start } = scheduleOf({ solver, steps, guidance }, scheduled);
  const levelOf = (step: number): number => (step === 0 ? start : (stages[begins[step] as number] as Stage).sigma);
  // Of twelve digits: the last bits of pow, exp and tan differ between versions of Node, and a store's identity must not.
  return { steps: kept, sigmas: kept.map((step) => Number(levelOf(step).toPrecision(12))) };
}

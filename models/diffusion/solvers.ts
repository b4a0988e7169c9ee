/**
 * Solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma (Karras et al. 2022, eq. 1), as plans of the machine
 * (machine.ts): of a state and at most one memory.
 */
import { Failure } from "../../schemas/failure.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import type { Plan, Stage } from "./machine.ts";
import { SIGNAL_FREE } from "./signal-free.ts";

/** Solvers of our own, beside the walks of published schedulers. */
export type OwnSolver = Exclude<SimulateSettings["solver"], "auto" | "published">;

/** The stages of each step. */
type Solver = (sigmas: ArrayLike<number>) => Stage[][];

/** From sigma to next along the straight line through D: x' = x + (next - sigma) (x - D) / sigma. */
export function line(sigma: number, next: number): Stage {
  return { sigma, state: next / sigma, denoised: 1 - next / sigma, clipped: 0, memories: [] };
}

function pairs(sigmas: ArrayLike<number>): [sigma: number, next: number, before: number | undefined][] {
  return Array.from({ length: sigmas.length - 1 }, (_, i) => [sigmas[i]!, sigmas[i + 1]!, sigmas[i - 1]]);
}

const euler: Solver = (sigmas) => pairs(sigmas).map(([sigma, next]) => [line(sigma, next)]);

/**
 * Karras et al. 2022, algorithm 1: the second stage averages the slopes at both ends. With the first slope rewritten
 * as (x1 - x) / h, only the state before the step must be remembered. The step to sigma = 0 is Euler's, and so is one from a level
 * that stands for infinity, over which no mean of slopes means anything.
 */
const heun: Solver = (sigmas) =>
  pairs(sigmas).map(([sigma, next]) => {
    if (next === 0 || sigma >= SIGNAL_FREE) return [line(sigma, next)];
    const half = (next - sigma) / (2 * next);
    const memories = [{ used: 0.5, kept: 0, state: 0, denoised: 0 }];
    return [
      { ...line(sigma, next), memories: [{ used: 0, kept: 0, state: 1, denoised: 0 }] },
      { sigma: next, state: 0.5 + half, denoised: -half, clipped: 0, memories },
    ];
  });

/**
 * DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) with alpha = 1 and lambda = -ln sigma; the memory holds the previous
 * D. The first step and a step to sigma = 0, where h is infinite, are of first order.
 */
const dpmSolver2M: Solver = (sigmas) =>
  pairs(sigmas).map(([sigma, next, before]) => {
    const stage = line(sigma, next);
    const memory = { used: 0, kept: 0, state: 0, denoised: 1 };
    if (before === undefined || next === 0) return [{ ...stage, memories: [memory] }];
    const ratio = Math.log(before / sigma) / Math.log(sigma / next);
    const extrapolation = stage.denoised / (2 * ratio);
    return [{ ...stage, denoised: stage.denoised + extrapolation, memories: [{ ...memory, used: -extrapolation }] }];
  });

const solvers: Record<OwnSolver, Solver> = {
  euler,
  heun,
  // Song et al. 2021, eq. 12 with eta = 0 keeps clean and epsilon fixed over a step; divided by alpha it is Euler's line.
  ddim: euler,
  "dpm++2m": dpmSolver2M,
};

/**
 * The stages of each step of a solver along descending noise levels [n + 1], the last of which may be 0. The number of function
 * evaluations is that of all stages: n, or 2n for Heun (2n - 1 where it ends at 0).
 */
export function solverSteps({ solver, sigmas }: { solver: OwnSolver; sigmas: ArrayLike<number> }): Stage[][] {
  const descends = pairs(sigmas).every(([sigma, next]) => sigma > next && next >= 0);
  if (sigmas.length < 2 || !descends) {
    throw new Failure(
      `Cannot plan ${solver} over the noise levels ${Array.from(sigmas).join(", ")}: they must fall strictly, to 0 at the lowest`,
    );
  }
  return solvers[solver](sigmas);
}

/** The stages of {@link solverSteps}, one after the other. */
export const solverPlan = (options: { solver: OwnSolver; sigmas: ArrayLike<number> }): Plan => solverSteps(options).flat();

/**
 * Solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma (Karras et al. 2022, eq. 1), as data.
 * All of them fit a machine of two registers, the state x and a memory m. One stage evaluates the denoiser once:
 *
 *     D = D(x; sigma)
 *     x' = state * x + denoised * D + memory * m
 *     m' = keepState * x + keepDenoised * D
 *
 * so a plan is a table of numbers, its length is the number of function evaluations, and one compiled stage whose
 * coefficients are inputs runs every solver.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import { type Linear, numbers } from "./arithmetic.ts";
import type { Parameterisation, Preconditioning } from "./parameterisation.ts";

/** The scalars of one stage (see above), without the noise level. */
export interface Update<C> {
  state: C;
  denoised: C;
  memory: C;
  keepState: C;
  keepDenoised: C;
}

export interface Stage extends Update<number> {
  sigma: number;
}

export type Plan = readonly Stage[];

type Solver = (sigmas: ArrayLike<number>) => Stage[];

/** From sigma to next along the straight line through D: x' = x + (next - sigma) (x - D) / sigma. */
function line(sigma: number, next: number): Stage {
  return { sigma, state: next / sigma, denoised: 1 - next / sigma, memory: 0, keepState: 0, keepDenoised: 0 };
}

function pairs(sigmas: ArrayLike<number>): [sigma: number, next: number, before: number | undefined][] {
  return Array.from({ length: sigmas.length - 1 }, (_, i) => [sigmas[i]!, sigmas[i + 1]!, sigmas[i - 1]]);
}

const euler: Solver = (sigmas) => pairs(sigmas).map(([sigma, next]) => line(sigma, next));

/**
 * Karras et al. 2022, algorithm 1: the second stage averages the slopes at both ends. With the first slope rewritten
 * as (x1 - x) / h, only the state before the step must be remembered. The step to sigma = 0 is Euler's.
 */
const heun: Solver = (sigmas) =>
  pairs(sigmas).flatMap(([sigma, next]) => {
    if (next === 0) return [line(sigma, next)];
    const half = (next - sigma) / (2 * next);
    const correction = { sigma: next, state: 0.5 + half, denoised: -half, memory: 0.5, keepState: 0, keepDenoised: 0 };
    return [{ ...line(sigma, next), keepState: 1 }, correction];
  });

/**
 * DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) with alpha = 1 and lambda = -ln sigma; the memory holds the previous
 * D. The first step and a step to sigma = 0, where h is infinite, are of first order.
 */
const dpmSolver2M: Solver = (sigmas) =>
  pairs(sigmas).map(([sigma, next, before]) => {
    const stage = { ...line(sigma, next), keepDenoised: 1 };
    if (before === undefined || next === 0) return stage;
    const ratio = Math.log(before / sigma) / Math.log(sigma / next);
    const extrapolation = stage.denoised / (2 * ratio);
    return { ...stage, denoised: stage.denoised + extrapolation, memory: -extrapolation };
  });

const solvers: Record<SimulateSettings["solver"], Solver> = {
  euler,
  heun,
  // Song et al. 2021, eq. 12 with eta = 0 keeps clean and epsilon fixed over a step; divided by alpha it is Euler's line.
  ddim: euler,
  "dpm++2m": dpmSolver2M,
};

/**
 * The stages of a solver along descending noise levels [n + 1], the last of which may be 0. The number of function
 * evaluations is the plan's length: n, or 2n for Heun (2n - 1 where it ends at 0).
 */
export function solverPlan({ solver, sigmas }: { solver: SimulateSettings["solver"]; sigmas: ArrayLike<number> }): Plan {
  const descends = pairs(sigmas).every(([sigma, next]) => sigma > next && next >= 0);
  if (sigmas.length < 2 || !descends) {
    throw new Failure(
      `Cannot plan ${solver} over the noise levels ${Array.from(sigmas).join(", ")}: they must fall strictly, to 0 at the lowest`,
    );
  }
  return solvers[solver](sigmas);
}

/** The stage with which a solver's step begins: there x is the solution at that step's noise level, and no half-way point. */
export function stageOfStep({ solver, step }: { solver: SimulateSettings["solver"]; step: number }): number {
  return solver === "heun" ? 2 * step : step; // of Heun's steps only the last may have one stage
}

/** Applies one stage to the registers. Coefficients are numbers (an unrolled graph) or scalar tensors (one program). */
export function advance<T>(
  { stage, x, memory, denoised }: { stage: Update<T | number>; x: T; memory: T; denoised: T },
  { add, mul }: Linear<T>,
): { x: T; memory: T } {
  const combine = (terms: [coefficient: T | number, value: T][]): T | undefined =>
    terms
      .filter(([coefficient]) => coefficient !== 0)
      .map(([coefficient, value]) => mul(value, coefficient))
      .reduce<T | undefined>((sum, term) => (sum === undefined ? term : add(sum, term)), undefined);
  const next = combine([
    [stage.state, x],
    [stage.denoised, denoised],
    [stage.memory, memory],
  ]);
  const kept = combine([
    [stage.keepState, x],
    [stage.keepDenoised, denoised],
  ]);
  return { x: next ?? mul(x, 0), memory: kept ?? memory };
}

/** Runs a whole plan from the state x at the plan's first noise level; inside a traced function it unrolls. */
export function integrate<T>({ plan, x, denoise }: { plan: Plan; x: T; denoise: (x: T, sigma: number) => T }, linear: Linear<T>): T {
  let registers = { x, memory: x };
  for (const stage of plan) {
    registers = advance({ stage, ...registers, denoised: denoise(registers.x, stage.sigma) }, linear);
  }
  return registers.x;
}

const columns = ["state", "denoised", "memory", "keepState", "keepDenoised"] as const;
const preconditioning = ["cSkip", "cOut", "cIn", "cNoise"] as const;

/** Scalars one compiled stage takes as its input `coefficients` [9]. */
export const COEFFICIENTS = columns.length + preconditioning.length;

/** A plan as inputs for one compiled stage run again and again: a vector [9] for every evaluation, in order. */
export function stepCoefficients({ plan, parameterisation }: { plan: Plan; parameterisation: Parameterisation }): Float32Array[] {
  return plan.map((stage) => {
    const coefficients = parameterisation.precondition(stage.sigma, numbers);
    return Float32Array.from([...columns.map((name) => stage[name]), ...preconditioning.map((name) => coefficients[name])]);
  });
}

/** Takes a vector of {@link stepCoefficients} apart again inside a traced function: scalars of shape [1]. */
export function readCoefficients(coefficients: Tensor): Update<Tensor> & Preconditioning<Tensor> {
  const scalars = tf.split(coefficients, COEFFICIENTS) as Tensor[];
  const names = [...columns, ...preconditioning];
  return Object.fromEntries(names.map((name, i) => [name, scalars[i]])) as unknown as Update<Tensor> & Preconditioning<Tensor>;
}

/** Grids of noise levels a solver walks down, in float64. */
import { badUsage } from "../../schemas/failure.ts";
import type { Parameterisation } from "./parameterisation.ts";
import type { OwnSolver } from "./solvers.ts";

/** A change of variable in which a grid is uniform: sigma -> time and back. */
export type Clock = Pick<Parameterisation, "timeOf" | "sigmaAt" | "sigmaMax" | "lastSigma">;

/**
 * Noise levels sigma_0 = sigmaMax > ... > sigma_steps = 0, [steps + 1], uniform in the clock's time. With
 * time = sigma^(1/rho) down to sigmaMin and then zero this is Karras et al. 2022, eq. 5; for flow and VP the time is
 * their own t, and the uniform grid itself ends at zero.
 */
export function timeGrid({ clock, steps }: { clock: Clock; steps: number }): Float64Array {
  if (!Number.isSafeInteger(steps) || steps < 1) {
    throw badUsage(`Cannot lay out a noise schedule of ${steps} steps: simulate.steps must be a whole number from 1`);
  }
  const first = clock.timeOf(clock.sigmaMax);
  const last = clock.timeOf(clock.lastSigma);
  const intervals = clock.lastSigma > 0 ? Math.max(1, steps - 1) : steps;
  return Float64Array.from({ length: steps + 1 }, (_, i) => {
    if (i === 0) return clock.sigmaMax;
    if (i === steps) return 0;
    return clock.sigmaAt(first + (i / intervals) * (last - first));
  });
}

/** The angle phi = arctan sigma of the cosine schedule: x_t = cos(phi) clean + sin(phi) epsilon, DDIM's own rotation. */
const angle = { timeOf: Math.atan, sigmaAt: Math.tan, lastSigma: 0 };

/**
 * The grid a solver uses: the parameterisation's own. On an EDM network DDIM takes the cosine schedule's angles
 * instead: without noise its update is Euler's (solvers.ts), so the time grid is all that tells the two apart.
 */
export function solverGrid({
  solver,
  parameterisation,
  steps,
}: {
  solver: OwnSolver;
  parameterisation: Parameterisation;
  steps: number;
}): Float64Array {
  const rotated = solver === "ddim" && parameterisation.name === "edm";
  const clock = rotated ? { ...angle, sigmaMax: parameterisation.sigmaMax } : parameterisation;
  return timeGrid({ clock, steps });
}

/**
 * Noise level of a share of the parameterisation's own time, in which its grids are uniform: from sigmaMin at 0 to sigmaMax
 * at 1. For methods that draw levels of their own; unlike a grid's end no level is 0.
 */
export function levelAt({ timeOf, sigmaAt, sigmaMin, sigmaMax }: Parameterisation): (share: number) => number {
  const [last, first] = [timeOf(sigmaMin), timeOf(sigmaMax)];
  return (share) => (share <= 0 ? sigmaMin : share >= 1 ? sigmaMax : sigmaAt(last + share * (first - last)));
}

/** Least share of the time between two states that a solver steps between: it divides by what lies between their levels. */
export const LEAST_SHARE = 1e-3;

/**
 * Noise levels of `steps` even steps of the time, from share `from[row]` down to `to[row]`, [rows, steps + 1]: `level` is that of a
 * share, as {@link levelAt} answers it.
 */
export function descents(options: {
  from: readonly number[];
  to: readonly number[];
  steps: number;
  level: (share: number) => number;
}): Float32Array {
  const { from, to, steps, level } = options;
  const parts = Array.from({ length: steps + 1 }, (_, i) => i / steps);
  return Float32Array.from(from.flatMap((share, row) => parts.map((part) => level(share + part * ((to[row] as number) - share)))));
}

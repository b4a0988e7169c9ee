/** Noise levels between training steps and training steps between noise levels, as published schedulers interpolate them. */
import { linspace } from "./published-timesteps.ts";

/** The levels at times that may lie between training steps; `levels` has one for each step. Ends hold beyond them. */
export function interpolated(times: readonly number[], levels: ArrayLike<number>): number[] {
  return times.map((time) => {
    const at = Math.min(Math.max(time, 0), levels.length - 1);
    const below = Math.min(Math.floor(at), levels.length - 2);
    const [low, high] = [levels[below] as number, levels[below + 1] as number];
    return at === below ? low : (high - low) * (at - below) + low;
  });
}

/** The time at which `levels`, which rise from step to step, reach sigma: linear in their logarithms. */
export function timeOf(sigma: number, levels: ArrayLike<number>): number {
  const logarithms = Array.from(levels, (level) => Math.fround(Math.log(level)));
  const wanted = Math.log(Math.max(sigma, 1e-10));
  const above = logarithms.findIndex((logarithm) => logarithm > wanted);
  const below = Math.min(Math.max(above < 0 ? logarithms.length : above, 1) - 1, logarithms.length - 2);
  const [low, high] = [logarithms[below] as number, logarithms[below + 1] as number];
  const share = Math.min(Math.max((low - wanted) / (low - high), 0), 1);
  return (1 - share) * below + share * (below + 1);
}

/** Between which levels a grid of `count` runs, both included. */
interface Ends {
  first: number;
  last: number;
  count: number;
}

/** Levels even in sigma^(1/7) (Karras et al. 2022, eq. 5). */
export function karrasSigmas({ first, last, count }: Ends): number[] {
  const [from, to] = [first ** (1 / 7), last ** (1 / 7)];
  return linspace(0, 1, count).map((share) => (from + share * (to - from)) ** 7);
}

/** Levels even in ln sigma. */
export function exponentialSigmas({ first, last, count }: Ends): number[] {
  return linspace(Math.log(first), Math.log(last), count).map(Math.exp);
}

/**
 * Solver steps at training time: from states that a loss is given at noise levels of their own, one step or several down
 * to others. Everything is in EDM coordinates, x = clean + sigma epsilon; with D = D(x; from) all first-order steps are
 *
 *     x' = D + down (x - D) / from + up n,  n ~ N(0, I)
 *
 * which carries epsilon on at `down` and adds fresh noise at `up` (docs/METHODS.md 9.2). Formulas serve float64 numbers
 * and traced tensors alike; levels are then of the states' rank.
 */
import { stopGradient } from "../../engine/ops.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import { type Parameters, spread } from "../layers.ts";
import { type Arithmetic, tensors } from "./arithmetic.ts";
import { type Denoiser, denoiserOf } from "./levels.ts";

/** Where the epsilon of a step goes: what is carried on of it, and fresh noise. down^2 + up^2 = to^2 wherever the marginals are kept. */
export interface Split<T> {
  down: T;
  up: T;
}

/**
 * How much fresh noise `eta` means in a step from level `from` down to `to`, 0 < to < from:
 *
 * - `ddim`: Song et al. 2021, eq. 16, sigma(eta) = eta sqrt((1-a')/(1-a)) sqrt(1-a/a'), divided by sqrt(a'):
 *   up = eta to sqrt(from^2 - to^2) / from; eta 1 is ancestral sampling.
 * - `sde`: dx = (1 + eta^2) (x - D) / sigma dsigma + eta sqrt(2 sigma) dw, solved exactly while D stands:
 *   down = to (to / from)^(eta^2), up = to sqrt(1 - (to / from)^(2 eta^2)). SCott's equation (docs/METHODS.md 7.1).
 *
 * Both keep the marginals: down^2 + up^2 = to^2. They agree at eta 0, where `up` is 0, and at eta 1.
 */
export const splits = {
  ddim: ({ from, to, eta }, a) => {
    const up = a.mul(a.div(a.mul(to, a.sqrt(squares(from, to, a))), from), eta);
    return { up, down: a.sqrt(squares(to, up, a)) };
  },
  sde: ({ from, to, eta }, a) => {
    const kept = a.exp(a.mul(a.log(a.div(to, from)), eta ** 2));
    return { down: a.mul(to, kept), up: a.mul(to, a.sqrt(a.add(a.mul(a.mul(kept, kept), -1), 1))) };
  },
} satisfies Record<string, <T>(options: { from: T; to: T; eta: number }, a: Arithmetic<T>) => Split<T>>;

/** x^2 - y^2 as (x - y) (x + y), which loses no digits where they are near. */
const squares = <T>(x: T, y: T, { add, mul }: Arithmetic<T>): T => mul(add(x, mul(y, -1)), add(x, y));

/** Fresh noise: how it is split off, and one draw N(0, 1) of the state's shape a step. */
export interface Noises<T> {
  split: keyof typeof splits;
  eta: number;
  draws: readonly T[];
}

/**
 * The step of the probability-flow ODE along the straight line through the clean prediction, from level `from` to `to`, which
 * may be 0: Euler's, and DDIM's without noise (Karras et al. 2022, eq. 3; Song et al. 2021, eq. 12).
 */
export function lineStep<T>({ x, clean, from, to }: { x: T; clean: T; from: T; to: T }, { add, mul, div }: Arithmetic<T>): T {
  return add(clean, mul(add(x, mul(clean, -1)), div(to, from)));
}

/**
 * From the state x at the first of the levels, which fall strictly and stay above 0, down to the last: one step and one
 * call of the denoiser between any two. `line`: Euler, or with `noises` DDIM or the SDE; `dpm++2m`: DPM-Solver++(2M) (Lu et
 * al. 2022, algorithm 2), whose first step is of first order.
 */
export function descend<T>(
  options: { x: T; levels: readonly T[]; denoise: Denoiser<T>; solver?: "line" | "dpm++2m"; noises?: Noises<T> },
  a: Arithmetic<T>,
): T {
  const { levels, denoise, solver = "line", noises } = options;
  let { x } = options;
  let before: { clean: T; from: T } | undefined;
  for (let i = 0; i + 1 < levels.length; i++) {
    const [from, to] = [levels[i] as T, levels[i + 1] as T];
    const clean = denoise(x, from);
    if (noises && noises.eta > 0) {
      const { down, up } = splits[noises.split]({ from, to, eta: noises.eta }, a);
      x = a.add(lineStep({ x, clean, from, to: down }, a), a.mul(noises.draws[i] as T, up));
    } else {
      const towards = solver === "dpm++2m" && before ? extrapolated({ clean, from, to, before }, a) : clean;
      x = lineStep({ x, clean: towards, from, to }, a);
    }
    before = { clean, from };
  }
  return x;
}

/**
 * The clean prediction in the middle of a step in ln sigma, on the line through the last two: D + (D - D_before) / (2 r). A step
 * of more than twice the last one, such as one almost to 0, where ln sigma has no end, goes no further than D + (D - D_before).
 */
function extrapolated<T>({ clean, from, to, before }: { clean: T; from: T; to: T; before: { clean: T; from: T } }, a: Arithmetic<T>): T {
  const log = (high: T, low: T): T => a.log(a.div(high, low));
  const half = a.min(a.mul(a.div(log(from, to), log(before.from, from)), 0.5), 1);
  return a.add(clean, a.mul(a.add(clean, a.mul(before.clean, -1)), half));
}

/**
 * The frozen teacher's steps inside a loss: states x [b, h, w, c] at the first of the `levels`, each [b], to states at the
 * last. `given` are the condition inputs, `scale` the guidance scale, a number or one a row [b]. No gradient flows.
 */
export function teacherSteps(options: {
  spec: DenoiserSpec;
  parameters: Parameters;
  given: Record<string, Tensor>;
  scale?: number | Tensor;
  x: Tensor;
  levels: readonly Tensor[];
  solver?: "line" | "dpm++2m";
  noises?: Noises<Tensor>;
}): Tensor {
  const { x, levels, solver, noises, ...network } = options;
  const teacher = denoiserOf(network);
  const denoise: Denoiser<Tensor> = (state, sigma) => teacher(state, sigma.reshape([-1]));
  // Stopped at the entrance, so that nothing is differentiated on the way, and once more for parameters in training.
  const start = stopGradient(x);
  return stopGradient(descend({ x: start, levels: levels.map(spread), denoise, solver, noises }, tensors));
}

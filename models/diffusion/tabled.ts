/**
 * Noise levels of a network that was trained at numbered steps, as most published ones are (Ho et al. 2020): a table of what is
 * left of the clean image's power after each. Between two steps ln sigma runs straight, so that any solver finds a level anywhere.
 */
import type { Arithmetic } from "./arithmetic.ts";
import { SIGNAL_FREE } from "./signal-free.ts";

/** The part of a parameterisation that follows from the table. */
export interface Tabled {
  sigmaMin: number;
  sigmaMax: number;
  /** Steps, of which the network is told: 0 to the table's length less one. */
  cNoise: <T>(sigma: T, arithmetic: Arithmetic<T>) => T;
  sigmaOf: <T>(step: T, arithmetic: Arithmetic<T>) => T;
  timeOf: (sigma: number) => number;
  sigmaAt: (step: number) => number;
  /** One of the steps, by a uniform draw from [0, 1). */
  trainingSigma: (uniform: number) => number;
}

/** `products` fall: of each step the product of 1 - beta up to it; the last may be 0, as of schedules that end without signal. */
export function tabled(products: ArrayLike<number>, numbers: Arithmetic<number>): Tabled {
  const sigmas = Float64Array.from(products, (left) => Math.min(SIGNAL_FREE, Math.sqrt((1 - left) / left)));
  const logs = sigmas.map(Math.log);
  const steps = Float64Array.from(sigmas, (_, step) => step);
  const [sigmaMin, sigmaMax] = [sigmas[0] as number, sigmas.at(-1) as number];
  const cNoise: Tabled["cNoise"] = (sigma, a) => a.interpolate(a.log(sigma), logs, steps);
  const sigmaOf: Tabled["sigmaOf"] = (step, a) => a.exp(a.interpolate(step, steps, logs));
  return {
    sigmaMin,
    sigmaMax,
    cNoise,
    sigmaOf,
    timeOf: (sigma) => cNoise(sigma, numbers),
    sigmaAt: (step) => sigmaOf(step, numbers),
    trainingSigma: (uniform) => sigmas[Math.floor(uniform * sigmas.length)] as number,
  };
}

/** The schedule of variance-preserving networks in continuous time: Stable Diffusion's, and the one made of it that ends without signal. */
import type { Arithmetic } from "./arithmetic.ts";

/**
 * Stable Diffusion's "scaled linear" betas in continuous time: sqrt(beta) runs linearly from u0 to u1 over t in [0, 1],
 * so -2 ln alpha(t) = (u^3 - u0^3) / (3 (u1 - u0)) and both directions are closed forms.
 */
const u0 = Math.sqrt(1000 * 0.00085);
const u1 = Math.sqrt(1000 * 0.012);
export const betaEnds = [u0, u1] as const;

/** VP time t in [0, 1] of a noise level: sigma^2 = exp(-2 ln alpha) - 1. */
export function vpTime<T>(sigma: T, arithmetic: Arithmetic<T>): T {
  const { add, mul, log } = arithmetic;
  return timeOfDecay(log(add(mul(sigma, sigma), 1)), arithmetic);
}

/** The time at which -2 ln alpha has a value. */
function timeOfDecay<T>(decay: T, { add, mul, log, exp }: Arithmetic<T>): T {
  const cubed = add(mul(decay, 3 * (u1 - u0)), u0 ** 3);
  return mul(add(exp(mul(log(cubed), 1 / 3)), -u0), 1 / (u1 - u0));
}

/** -2 ln alpha at a VP time t in [0, 1]: (u^3 - u0^3) / (3 (u1 - u0)) with u = u0 + (u1 - u0) t, without cancellation. */
export function decayOf<T>(time: T, { add, mul }: Arithmetic<T>): T {
  const step = u1 - u0;
  return mul(time, add(mul(time, add(mul(time, step ** 2 / 3), u0 * step)), u0 ** 2));
}

/** e^y - 1 for y other than 0, whose rounding e^y shares with its logarithm (Kahan). */
export function expm1<T>(y: T, { add, mul, div, exp, log }: Arithmetic<T>): T {
  const power = exp(y);
  return div(mul(add(power, -1), y), log(power));
}

/** -2 ln alpha at a VP time t in [0, 1]. */
function decayAt(time: number): number {
  const u = u0 + time * (u1 - u0);
  return (u ** 3 - u0 ** 3) / (3 * (u1 - u0));
}

/** Noise level of a VP time t in [0, 1]. */
export function vpSigma(time: number): number {
  return Math.sqrt(Math.expm1(decayAt(time)));
}

/** alpha of the VP schedule where it ends, at t = 1: the signal that is left there. */
export const lastAlpha = Math.exp(-decayAt(1) / 2);

/**
 * Noise level of a time t in [0, 1] of the schedule whose last signal-to-noise ratio is zero (Lin et al. 2024, algorithm 1;
 * docs/METHODS.md 9.5): alpha shifted and scaled so that it ends at 0 and begins where it did. At t = 1 sigma is infinite.
 */
export function zeroTerminalSigma(time: number): number {
  const lost = -Math.expm1(-decayAt(time) / 2) / (1 - lastAlpha); // 1 - alpha, without cancellation
  if (time >= 1) return Number.POSITIVE_INFINITY;
  return Math.sqrt(lost * (2 - lost)) / (1 - lost);
}

/** Time t in [0, 1] of a noise level on that schedule: alpha = 1 / sqrt(1 + sigma^2), put back to the schedule it was made of. */
export function zeroTerminalTime<T>(sigma: T, arithmetic: Arithmetic<T>): T {
  const { add, mul, div, sqrt, log } = arithmetic;
  const alpha = div(1, sqrt(add(mul(sigma, sigma), 1)));
  return timeOfDecay(mul(log(add(mul(alpha, 1 - lastAlpha), lastAlpha)), -2), arithmetic);
}

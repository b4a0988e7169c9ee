/**
 * What consistency models are made of (Song et al. 2023): a function f(x, sigma) -> clean that is the identity at the lowest
 * noise level, around any denoiser, and weights by noise level. In EDM coordinates, x = clean + sigma epsilon.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { DiffusionSettings } from "../../schemas/settings.ts";
import { pseudoHubers, squaredErrors } from "../losses/difference.ts";
import { type Arithmetic, numbers, tensors } from "./arithmetic.ts";
import type { Denoiser } from "./levels.ts";
import { createParameterisation, type Preconditioning } from "./parameterisation.ts";
import { betaEnds } from "./vp-schedule.ts";
import { elements } from "../../engine/weights.ts";

/** f = skip x + out D(x; sigma). */
export interface Boundary<T> {
  skip: T;
  out: T;
}

type Levels = Pick<DiffusionSettings, "sigmaData" | "sigmaMin">;

/**
 * How the identity at the lowest level is come by, with sd the data's deviation and e = sigmaMin:
 *
 * - `none`: it is not; f is the denoiser itself.
 * - `edm`: Song et al. 2023, appendix C: f = sd^2/((s-e)^2+sd^2) x + (s-e) sd/sqrt(s^2+sd^2) F, F the network of EDM's
 *   denoiser, which of any other D is F = (D - x sd^2/(s^2+sd^2)) / (s sd/sqrt(s^2+sd^2)). The identity at s = e.
 * - `lcm`: Luo et al. 2023: f = .25/((10 t)^2+.25) z + 10 t/sqrt((10 t)^2+.25) D, with z = x / sqrt(1 + s^2) the state of a
 *   variance-preserving process and t = 0 .. 1000 Stable Diffusion's time of that level. The identity at s = 0.
 */
export const boundaries = {
  none: (sigma, _, a) => ({ skip: a.mul(sigma, 0), out: a.add(a.mul(sigma, 0), 1) }),
  edm: (sigma, { sigmaData: sd, sigmaMin: e }, a) => {
    const above = a.add(sigma, -e);
    const out = a.div(above, sigma);
    const own = a.div(sd ** 2, a.add(a.mul(above, above), sd ** 2));
    const denoisers = a.div(sd ** 2, a.add(a.mul(sigma, sigma), sd ** 2));
    return { out, skip: a.add(own, a.mul(a.mul(denoisers, out), -1)) };
  },
  lcm: (sigma, _, a) => {
    const time = a.mul(stableDiffusionTime(sigma, a), 10);
    const spread = a.add(a.mul(time, time), 0.25);
    const shrunk = a.sqrt(a.add(a.mul(sigma, sigma), 1));
    return { skip: a.div(0.25, a.mul(spread, shrunk)), out: a.div(time, a.sqrt(spread)) };
  },
} satisfies Record<string, <T>(sigma: T, levels: Levels, a: Arithmetic<T>) => Boundary<T>>;

/** The names of {@link boundaries}, for a method's settings. */
export const boundaryNames = ["none", "edm", "lcm"] as const satisfies readonly (keyof typeof boundaries)[];

/**
 * Time 0 .. 1000 of Stable Diffusion's schedule at a noise level, past 1000 above its last: with u = sqrt(beta) running from
 * u0 to u1, u^3 - u0^3 = 3 (u1 - u0) ln(1 + sigma^2). Written without the difference of near numbers that `vpTime` has, so
 * that it is exactly 0 at 0.
 */
function stableDiffusionTime<T>(sigma: T, { add, mul, div, log, exp }: Arithmetic<T>): T {
  const [u0, u1] = betaEnds;
  const decay = log(add(mul(sigma, sigma), 1));
  const u = exp(mul(log(add(mul(decay, 3 * (u1 - u0)), u0 ** 3)), 1 / 3));
  return mul(div(mul(decay, 3), add(mul(u, add(u, u0)), u0 ** 2)), 1000);
}

/** The consistency function f(x, sigma) around a denoiser, of states x [b, h, w, c] at levels sigma [b]. */
export function consistencyOf(options: {
  denoise: Denoiser<Tensor>;
  boundary: keyof typeof boundaries;
  diffusion: Levels;
}): Denoiser<Tensor> {
  const { denoise, boundary, diffusion } = options;
  if (boundary === "none") return denoise;
  return (x, sigma) => {
    const { skip, out } = boundaries[boundary](sigma.reshape([-1, 1, 1, 1]) as Tensor, diffusion, tensors);
    return tf.add(tf.mul(x, skip), tf.mul(denoise(x, sigma), out));
  };
}

/**
 * Coefficients of f with LCM's boundary, D's among them, at a level from 0 up: f = cSkip x + cOut F(cIn x, cNoise). Below sigmaMin,
 * where nothing is known of D, they are D's at sigmaMin; at 0 f is the identity.
 */
export function boundedCoefficients(diffusion: DiffusionSettings): (sigma: number) => Preconditioning<number> {
  const { precondition, sigmaMin } = createParameterisation(diffusion);
  return (sigma) => {
    const { skip, out } = boundaries.lcm(sigma, diffusion, numbers);
    const { cSkip, cOut, ...rest } = precondition(Math.max(sigma, sigmaMin), numbers);
    return { ...rest, cSkip: skip + out * cSkip, cOut: out * cOut };
  };
}

/**
 * min(SNR, most) with SNR = 1 / sigma^2, what a variance-preserving process calls alpha^2 / sigma^2 (Hang et al. 2023). `sigma` is that of
 * data of deviation 1: over `sigmaData` of others.
 */
export function snrWeight(sigma: number, most: number): number {
  return Math.min(sigma ** -2, most);
}

/** min(1 / difference, most), of two noise levels of data of deviation 1: how much their predictions' agreement weighs (YOSO). */
export const closenessWeight = (difference: number, most: number): number => Math.min(1 / difference, most);

/** c = 0.00054 sqrt(dimension) of the pseudo-Huber distance (Song & Dhariwal 2023, section 3.3). */
export const huberScale = (shape: readonly number[]): number => 0.00054 * Math.sqrt(elements(shape));

/** The distances of two predictions by name, of latents of this shape: of rows [b, ...] -> [b]. */
export const rowDistances = {
  squared: () => squaredErrors,
  huber: (shape) => (a, b) => pseudoHubers(a, b, huberScale(shape)),
} satisfies Record<string, (shape: readonly number[]) => (a: Tensor, b: Tensor) => Tensor>;

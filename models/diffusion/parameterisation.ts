/**
 * What a denoising network predicts, as data. The whole project lives in EDM coordinates: a state x = clean + sigma *
 * epsilon and a denoiser D(x; sigma) -> clean (Karras et al. 2022, eq. 7). Every parameterisation is then one row of
 * D = cSkip * x + cOut * F(cIn * x, cNoise). Its own coordinates are a rescaling of x, which cIn carries:
 *
 *     flow, z = (1-t) clean + t epsilon        x = z / (1-t),     sigma = t / (1-t)
 *     VP,   z = alpha clean + s epsilon        x = z / alpha,     sigma = s / alpha,  alpha^2 + s^2 = 1
 */
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import type { DiffusionSettings } from "../../schemas/settings.ts";
import { numbers } from "./arithmetic.ts";
import type { Arithmetic } from "./arithmetic.ts";
import { predictions, type Row } from "./predictions.ts";
import { publishedSchedule } from "./published-schedule.ts";
import { SIGNAL_FREE } from "./signal-free.ts";
import { tabled } from "./tabled.ts";
import { decayOf, expm1, lastAlpha, vpSigma, vpTime, zeroTerminalSigma, zeroTerminalTime } from "./vp-schedule.ts";

/** D(x; sigma) = cSkip * x + cOut * F(cIn * x, cNoise). */
export interface Preconditioning<T> {
  cSkip: T;
  cOut: T;
  cIn: T;
  cNoise: T;
}

export interface Parameterisation {
  name: DiffusionSettings["parameterisation"];
  /** Coefficients at sigma > 0, elementwise: numbers, or tensors of any shape. */
  precondition: <T>(sigma: T, arithmetic: Arithmetic<T>) => Preconditioning<T>;
  /** Weight of ||D - clean||^2 that makes it ||F - its target||^2: 1 / cOut^2. */
  lossWeight: <T>(sigma: T, arithmetic: Arithmetic<T>) => T;
  /** Range in which the denoiser may be asked. Flow and cosine-like schedules, and VP with zero terminal SNR, reach
   * sigma = infinity at t = 1, so sampling starts at the finite sigmaMax of the settings; the VP schedule itself ends at
   * sigma = 14.46. */
  sigmaMin: number;
  sigmaMax: number;
  /** The variable in which its standard time grid is uniform, and back. */
  timeOf: (sigma: number) => number;
  sigmaAt: (time: number) => number;
  /** The noise level that a network is told of by cNoise: its inverse, infinite where a schedule ends without signal. */
  sigmaOf: <T>(cNoise: T, arithmetic: Arithmetic<T>) => T;
  /** Lowest positive noise level of a grid; 0 where the uniform grid itself ends at sigma = 0. */
  lastSigma: number;
  /** Training noise levels: `trainingSigma` maps a standard normal or a uniform [0, 1) draw to sigma. */
  draw: "normal" | "uniform";
  trainingSigma: (draw: number) => number;
}

type Family = Pick<Parameterisation, "sigmaMax" | "timeOf" | "sigmaAt" | "lastSigma" | "draw" | "trainingSigma"> & {
  row: Row;
  cIn: <T>(sigma: T, arithmetic: Arithmetic<T>) => T;
  cNoise: <T>(sigma: T, arithmetic: Arithmetic<T>) => T;
  sigmaOf: <T>(cNoise: T, arithmetic: Arithmetic<T>) => T;
};

function edm({ sigmaData, sigmaMin, sigmaMax, rho, logSigmaMean, logSigmaStd }: DiffusionSettings): Family {
  const spread = <T>(sigma: T, { add, mul }: Arithmetic<T>) => add(mul(sigma, sigma), sigmaData ** 2);
  return {
    row: (sigma, a) => ({
      skip: a.div(sigmaData ** 2, spread(sigma, a)),
      out: a.div(a.mul(sigma, sigmaData), a.sqrt(spread(sigma, a))),
    }),
    cIn: (sigma, a) => a.div(1, a.sqrt(spread(sigma, a))),
    cNoise: (sigma, a) => a.mul(a.log(sigma), 1 / 4),
    sigmaOf: (cNoise, a) => a.exp(a.mul(cNoise, 4)),
    sigmaMax,
    timeOf: (sigma) => sigma ** (1 / rho),
    sigmaAt: (time) => time ** rho,
    lastSigma: sigmaMin,
    draw: "normal",
    trainingSigma: (normal) => Math.exp(logSigmaMean + logSigmaStd * normal),
  };
}

function flow({ sigmaMax, logSigmaMean, logSigmaStd }: DiffusionSettings): Family {
  const time = <T>(sigma: T, { add, div }: Arithmetic<T>) => div(sigma, add(sigma, 1));
  return {
    row: predictions.velocity,
    cIn: (sigma, a) => a.div(1, a.add(sigma, 1)),
    cNoise: time,
    sigmaOf: (t, { add, mul, div }) => div(t, add(mul(t, -1), 1)),
    sigmaMax,
    timeOf: (sigma) => time(sigma, numbers),
    sigmaAt: (t) => t / (1 - t),
    lastSigma: 0,
    draw: "normal",
    // Logit-normal t (Esser et al. 2024) is exactly log-normal sigma, because logit(t) = ln(t / (1-t)) = ln sigma.
    trainingSigma: (normal) => Math.exp(logSigmaMean + logSigmaStd * normal),
  };
}

function vp({ sigmaMin, sigmaMax }: DiffusionSettings, row: Row): Family {
  const top = Math.min(sigmaMax, vpSigma(1));
  const timeOf = (sigma: number) => vpTime(sigma, numbers);
  const [first, last] = [timeOf(sigmaMin), timeOf(top)];
  return {
    row,
    cIn: (sigma, a) => a.div(1, a.sqrt(a.add(a.mul(sigma, sigma), 1))),
    cNoise: vpTime,
    sigmaOf: (time, a) => a.sqrt(expm1(decayOf(time, a), a)),
    sigmaMax: top,
    timeOf,
    sigmaAt: vpSigma,
    lastSigma: 0,
    draw: "uniform",
    trainingSigma: (uniform) => vpSigma(first + uniform * (last - first)),
  };
}

/** v-prediction on the schedule that ends without signal, or at the finite sigmaMax of the settings. */
function vpZero(settings: DiffusionSettings): Family {
  const { sigmaMin, sigmaMax } = settings;
  const timeOf = (sigma: number) => zeroTerminalTime(sigma, numbers);
  const sigmaAt = (time: number) => Math.min(sigmaMax, zeroTerminalSigma(time));
  const [first, last] = [timeOf(sigmaMin), timeOf(sigmaMax)];
  return {
    ...vp(settings, predictions.v),
    cNoise: zeroTerminalTime,
    sigmaOf: (time, a) => {
      const { add, mul, div, sqrt } = a;
      const lost = mul(expm1(mul(decayOf(time, a), -1 / 2), a), -1 / (1 - lastAlpha)); // 1 - alpha
      const alpha = add(mul(lost, -1), 1);
      return sqrt(div(mul(lost, add(mul(lost, -1), 2)), mul(alpha, alpha)));
    },
    sigmaMax,
    timeOf,
    sigmaAt,
    trainingSigma: (uniform) => sigmaAt(first + uniform * (last - first)),
  };
}

/**
 * A published network's own steps, by its scheduler_config.json: what it predicts, and the table of levels at which it was trained
 * (tabled.ts). Of flow matching there is no table, time is time, and its walks begin in pure noise.
 */
function stepped(schedule: object, settings: DiffusionSettings): Family {
  const { prediction, products } = publishedSchedule({ json: schedule, file: "diffusion.schedule" });
  if (!products) return flow({ ...settings, sigmaMax: SIGNAL_FREE });
  const { sigmaMin: _, ...levels } = tabled(products, numbers);
  const cIn: Family["cIn"] = (sigma, a) => a.div(1, a.sqrt(a.add(a.mul(sigma, sigma), 1)));
  return { row: predictions[prediction], cIn, lastSigma: 0, draw: "uniform", ...levels };
}

const families = {
  edm,
  flow,
  "vp-epsilon": (settings) => vp(settings, predictions.epsilon),
  "vp-v": (settings) => vp(settings, predictions.v),
  "vp-v-zero": vpZero,
} satisfies Record<DiffusionSettings["parameterisation"], (settings: DiffusionSettings) => Family>;

/**
 * The parameterisation the settings name. cNoise, what the network sees of sigma, is ln(sigma)/4 for EDM and the time
 * t in [0, 1] for flow and VP.
 */
export function createParameterisation(settings: DiffusionSettings): Parameterisation {
  const { row, cIn, cNoise, ...rest } = settings.schedule
    ? stepped(settings.schedule, settings)
    : families[settings.parameterisation](settings);
  return {
    name: settings.parameterisation,
    sigmaMin: settings.sigmaMin,
    precondition: (sigma, a) => {
      const { skip, out } = row(sigma, a);
      return { cSkip: skip, cOut: out, cIn: cIn(sigma, a), cNoise: cNoise(sigma, a) };
    },
    lossWeight: (sigma, a) => {
      const { out } = row(sigma, a);
      return a.div(1, a.mul(out, out));
    },
    ...rest,
  };
}

/** A training batch's noise levels with everything a step needs of them, each [length], computed in float64. */
export type NoiseLevels = Record<"sigma" | "weight" | keyof Preconditioning<number>, Float32Array>;

/** Coefficients and loss weights of given noise levels. */
export function noiseLevels(parameterisation: Parameterisation, sigmas: ArrayLike<number>): NoiseLevels {
  const rows = Array.from(sigmas, (sigma) => ({
    sigma,
    weight: parameterisation.lossWeight(sigma, numbers),
    ...parameterisation.precondition(sigma, numbers),
  }));
  const column = (name: keyof NoiseLevels) => Float32Array.from(rows, (row) => row[name]);
  return {
    sigma: column("sigma"),
    weight: column("weight"),
    cSkip: column("cSkip"),
    cOut: column("cOut"),
    cIn: column("cIn"),
    cNoise: column("cNoise"),
  };
}

/** Noise levels drawn for training: a pure function of (seed, stream, offset). */
export function trainingNoiseLevels({
  parameterisation,
  ...draw
}: {
  parameterisation: Parameterisation;
  seed: number | bigint;
  stream: number | bigint | string;
  offset?: number;
  length: number;
}): NoiseLevels {
  const draws = parameterisation.draw === "normal" ? normals(draw) : uniforms(draw);
  return noiseLevels(parameterisation, Float64Array.from(draws, parameterisation.trainingSigma));
}

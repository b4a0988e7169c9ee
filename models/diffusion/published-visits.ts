/** What published schedulers say of a walk, and what of their configs they read alike. */
import { badUsage } from "../../schemas/failure.ts";
import type { Stage } from "./machine.ts";
import type { Prediction } from "./predictions.ts";
import { type BetaConfig, betas, cumulativeProducts, withoutTerminalSignal } from "./published-betas.ts";
import type { FlowGiven } from "./published-flow.ts";
import { type Spacing, spaced } from "./published-timesteps.ts";

/** What a walk of so many steps visits. */
export interface Visits {
  /** What the network is told at each call, noisiest first; PNDM comes back to a time where a step of it has several calls. */
  timesteps: number[];
  /**
   * The noise level at each call and, one more, at the end: s / alpha, of flow matching the share of noise. Schedulers that publish
   * none (DDIM, DDPM, PNDM, LCM) have those of their times.
   */
  sigmas: number[];
  /** The deviation of what a walk starts from, in the scheduler's own coordinates. */
  initNoiseSigma: number;
}

/** A walk as the machine takes it. */
export interface Walk {
  /** The stages of each step. */
  steps: Stage[][];
  /** The scheduler's own state over x, at each stage. */
  scales: number[];
  /** Deviation of the fresh noise after each stage, where a scheduler adds some. */
  fresh?: number[];
}

/** The walk of so many steps over what it visits. */
export type Rule = (visits: Visits, steps: number) => Walk;

export interface PublishedSchedule {
  className: string;
  prediction: Prediction;
  /** Whether its steps follow the deterministic ODE. Where not, they add noise, and no ODE leads from a start to its end. */
  isDeterministic: boolean;
  /** What its steps do; undefined where that is not known here. */
  rule?: Rule | undefined;
  /** The most that a predicted clean image may have, where each step clips it. */
  clip?: number;
  /** What is left of a clean image's power after each training step; flow matching has no such table. */
  products?: Float32Array;
  /** Throws a usage failure for a number of steps that the scheduler cannot take. */
  visits: (steps: number, given?: FlowGiven) => Visits;
}

/** A schedule before its class is named. */
export type OwnSchedule = Omit<PublishedSchedule, "className">;

/** Predictions by the names that configs give them. */
export const predicted = { epsilon: "epsilon", sample: "clean", v_prediction: "v" } as const;

/** Products of a config; where nothing would be left at the end, `least` is. */
export function productsOf(c: BetaConfig & { rescale_betas_zero_snr?: boolean }, least?: number): Float32Array {
  const products = cumulativeProducts(c.rescale_betas_zero_snr ? withoutTerminalSignal(betas(c)) : betas(c));
  if (c.rescale_betas_zero_snr && least !== undefined) products[products.length - 1] = least;
  return products;
}

/** The smallest float16: what is left at the end of a schedule without terminal signal where infinite levels would not do. */
export const LEAST = 2 ** -24;

/** The training steps of a walk, noisiest first. */
export const spacedBy = (c: { timestep_spacing: Spacing; steps_offset: number; num_train_timesteps: number }, count: number): number[] =>
  spaced({ spacing: c.timestep_spacing, count, trained: c.num_train_timesteps, offset: c.steps_offset });

/** The number of steps, if a walk can have it. Throws a usage failure. */
export function checked(steps: number, { num_train_timesteps: trained }: { num_train_timesteps: number }): number {
  if (Number.isSafeInteger(steps) && steps >= 1 && steps <= trained) return steps;
  throw badUsage(`Cannot lay out ${steps} steps of a published schedule: their number must be a whole one from 1 to ${trained}`);
}

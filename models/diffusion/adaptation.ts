/**
 * YOSO's quick adaptation (Luo et al. 2025; docs/METHODS.md 2.4): a network learns to predict v, first on the schedule that it
 * knows, then on one that ends without signal. The frozen teacher stays on its own schedule; whatever it predicts, its
 * clean prediction is the common language, from which epsilon and then v follow.
 */
import type { DiffusionSettings } from "../../schemas/settings.ts";
import { type Linear, numbers } from "./arithmetic.ts";
import { createParameterisation, type Preconditioning } from "./parameterisation.ts";
import { vpSigma, vpTime, zeroTerminalSigma } from "./vp-schedule.ts";
import { SIGNAL_FREE } from "./signal-free.ts";

/** Schedules that a student may be put on: v-prediction as Stable Diffusion's, or with zero terminal SNR. */
export type Adaptation = "v" | "v-zero";

/** Diffusion settings of a student in v-prediction; the other settings stay its teacher's. */
export function adaptedDiffusion(diffusion: DiffusionSettings, to: Adaptation): DiffusionSettings {
  return to === "v" ? { ...diffusion, parameterisation: "vp-v" } : { ...diffusion, parameterisation: "vp-v-zero", sigmaMax: SIGNAL_FREE };
}

/**
 * One row of the adaptation: noise levels of both, what the teacher is told, and the student's own coordinates
 * z = alpha clean + s epsilon.
 */
export interface AdaptationLevel extends Preconditioning<number> {
  /** The teacher's. */
  sigma: number;
  /** The student's: alpha^2 + s^2 = 1. */
  alpha: number;
  s: number;
  /** The student's c_noise, which is the time. */
  time: number;
}

/**
 * The levels of both networks at a time in [0, 1]. While the schedule is `v` the student is at the teacher's own level; on
 * `v-zero` it has the noisier one of the same time. Levels that the teacher does not know are its nearest.
 */
export function adaptationLevel(teacher: DiffusionSettings, schedule: Adaptation, time: number): AdaptationLevel {
  const { sigmaMin, sigmaMax, precondition } = createParameterisation(teacher);
  const sigma = Math.min(sigmaMax, Math.max(sigmaMin, vpSigma(time)));
  const own = schedule === "v" ? sigma : Math.min(SIGNAL_FREE, Math.max(sigmaMin, zeroTerminalSigma(time)));
  const length = Math.sqrt(1 + own * own);
  const told = schedule === "v" ? vpTime(own, numbers) : time;
  return { ...precondition(sigma, numbers), sigma, alpha: 1 / length, s: own / length, time: told };
}

/**
 * v = alpha epsilon - s clean on the student's schedule (Salimans & Ho 2022), with clean the teacher's prediction at its own
 * state x = clean + sigma epsilon and epsilon what follows from it.
 */
export function velocityOf<T>(
  { x, clean, perSigma, alpha, s }: { x: T; clean: T; perSigma: T | number; alpha: T | number; s: T | number },
  { add, mul }: Linear<T>,
): T {
  const epsilon = mul(add(x, mul(clean, -1)), perSigma);
  return add(mul(epsilon, alpha), mul(mul(clean, s), -1));
}

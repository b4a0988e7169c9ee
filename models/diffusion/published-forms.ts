/**
 * Steps of published schedulers, written as they are published: quantities are linear combinations of what a stage of the machine
 * (machine.ts) has, so that a formula becomes a row of its table.
 */
import { numbers } from "./arithmetic.ts";
import type { Stage } from "./machine.ts";
import { type Prediction, predictions } from "./predictions.ts";
import { SIGNAL_FREE } from "./signal-free.ts";

/** Shares of the state x, the clean prediction D, D clipped, and the memories, in this order; those that are left out are 0. */
export type Form = readonly number[];

const STATE: Form = [1];
export const CLEAN: Form = [0, 1];
export const CLIPPED: Form = [0, 0, 1];
/** Memory `i` alone, from 0. */
export const memory = (i: number): Form => [0, 0, 0, ...new Array<number>(i).fill(0), 1];

/** A sum of forms, each times a number. */
export function combined(...terms: readonly (readonly [factor: number, form: Form])[]): Form {
  const length = Math.max(...terms.map(([, form]) => form.length));
  return Array.from({ length }, (_, i) => terms.reduce((sum, [factor, form]) => sum + factor * (form[i] ?? 0), 0));
}

/** Where a network is asked: what it is told, the noise level, and the scheduler's own state over x. */
export interface Call {
  time: number;
  sigma: number;
  scale: number;
}

/** The noise in a state. */
export const noiseOf = ({ sigma }: Call): Form => combined([1 / sigma, STATE], [-1 / sigma, CLEAN]);

/** The scheduler's own state. */
export const ownState = ({ scale }: Call): Form => combined([scale, STATE]);

/** What the network predicts, as the state and the clean prediction say. */
export function predictionOf(prediction: Prediction, { sigma }: Call): Form {
  const { skip, out } = predictions[prediction](sigma, numbers);
  return combined([1 / out, CLEAN], [-skip / out, STATE]);
}

/** Shares of the clean image and of the noise in a scheduler's state. */
export interface Mixture {
  alpha: number;
  noise: number;
}

/** Those of a state in which so much of the image's power is left. */
export const mixtureOf = (product: number): Mixture => ({ alpha: Math.sqrt(product), noise: Math.sqrt(1 - product) });

/** A call at sigma of a scheduler whose states have the variance 1; an infinite level is {@link SIGNAL_FREE}. */
export function unitCall(time: number, sigma: number): Call {
  const finite = Math.min(sigma, SIGNAL_FREE);
  return { time, sigma: finite, scale: 1 / Math.sqrt(1 + finite ** 2) };
}

/**
 * The stage that asks at `call`, from where the scheduler's state goes to `next`; the call after it is `after`, none at the end,
 * where the scheduler's state is the result. `keep`: what memories hold afterwards; of memories a form has only the one itself.
 */
export function stageOf(options: { call: Call; next: Form; after?: Call | undefined; keep?: Readonly<Record<number, Form>> }): Stage {
  const { call, next, after, keep = {} } = options;
  const [state = 0, denoised = 0, clipped = 0, ...used] = combined([1 / (after?.scale ?? 1), next]);
  const count = Math.max(used.length, ...Object.keys(keep).map((i) => Number(i) + 1));
  const memories = Array.from({ length: count }, (_, i) => {
    const { [i]: form } = keep;
    const [ofState = 0, ofDenoised = 0, , ...others] = form ?? memory(i);
    return { used: used[i] ?? 0, kept: others[i] ?? 0, state: ofState, denoised: ofDenoised };
  });
  return { sigma: call.sigma, time: call.time, state, denoised, clipped, memories };
}

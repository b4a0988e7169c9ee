/** What one step of a published scheduler does: DDIM, Euler, flow matching, DDPM and LCM, which remember nothing. */
import type { DdimConfig, DdpmConfig, LcmConfig } from "./published-configs.ts";
import { type Call, CLEAN, CLIPPED, combined, type Form, mixtureOf, noiseOf, ownState, stageOf, unitCall } from "./published-forms.ts";
import type { Rule, Visits } from "./published-visits.ts";
import { SIGNAL_FREE } from "./signal-free.ts";
import { line } from "./solvers.ts";

/** The calls of a scheduler whose states have the variance 1. */
export const unitCalls = ({ timesteps, sigmas }: Visits): Call[] => timesteps.map((time, i) => unitCall(time, sigmas[i] as number));

const cleanOf = ({ clip_sample: isClipped }: { clip_sample: boolean }): Form => (isClipped ? CLIPPED : CLEAN);

/**
 * Song et al. 2021, eq. 12 without noise. Each step goes down by the same number of training steps, whichever time the network is
 * told next; the noise is that of the unclipped prediction.
 */
export function ddimRule(c: DdimConfig, products: Float32Array): Rule {
  const end = c.set_alpha_to_one ? 1 : (products[0] as number);
  return (visits, steps) => {
    const distance = Math.floor(c.num_train_timesteps / steps);
    const calls = unitCalls(visits);
    return {
      scales: calls.map(({ scale }) => scale),
      steps: calls.map((call, i) => {
        const { alpha, noise } = mixtureOf(products[call.time - distance] ?? end);
        return [stageOf({ call, after: calls[i + 1], next: combined([alpha, cleanOf(c)], [noise, noiseOf(call)]) })];
      }),
    };
  };
}

/** Euler's line over sigma; the state has the image at its full size. */
export const eulerRule: Rule = ({ timesteps, sigmas }) => ({
  scales: timesteps.map(() => 1),
  steps: timesteps.map((time, i) => [{ ...line(sigmas[i] as number, sigmas[i + 1] as number), time }]),
});

/** Euler's line over the share of noise t: z = (1 - t) clean + t epsilon. The network is told t. */
export const flowRule: Rule = ({ sigmas }) => {
  const calls = sigmas.slice(0, -1).map((share): Call => {
    const sigma = Math.min(SIGNAL_FREE, share / (1 - share));
    return { time: share, sigma, scale: 1 / (1 + sigma) };
  });
  return {
    scales: calls.map(({ scale }) => scale),
    steps: calls.map((call, i) => {
      const share = sigmas[i + 1] as number;
      return [stageOf({ call, after: calls[i + 1], next: combined([1 - share, CLEAN], [share, noiseOf(call)]) })];
    }),
  };
};

/** Ho et al. 2020, eq. 7, and fresh noise: none after the first training step. Undefined where its variance is learned. */
export function ddpmRule(c: DdpmConfig, products: Float32Array): Rule | undefined {
  if (!["fixed_small", "fixed_small_log", "fixed_large"].includes(c.variance_type)) return undefined;
  return (visits) => {
    const calls = unitCalls(visits);
    const made = calls.map((call, i) => {
      const after = calls[i + 1];
      const [product, next] = [products[call.time] as number, after ? (products[after.time] as number) : 1];
      const beta = 1 - product / next;
      const image = (Math.sqrt(next) * beta) / (1 - product);
      const state = (Math.sqrt(1 - beta) * (1 - next)) / (1 - product);
      const variance = c.variance_type === "fixed_large" ? beta : Math.max(1e-20, ((1 - next) / (1 - product)) * beta);
      const stage = stageOf({ call, after, next: combined([image, cleanOf(c)], [state, ownState(call)]) });
      return { stage, fresh: call.time > 0 ? Math.sqrt(variance) / (after?.scale ?? 1) : 0 };
    });
    const scales = calls.map(({ scale }) => scale);
    return { scales, steps: made.map(({ stage }) => [stage]), fresh: made.map(({ fresh }) => fresh) };
  };
}

/** Luo et al. 2023: to the clean image by a consistency function, and fresh noise up to the next level. */
export function lcmRule(c: LcmConfig, products: Float32Array): Rule {
  const deviation = 0.5; // of the data, to the published scheduler
  return (visits) => {
    const calls = unitCalls(visits);
    const levels = calls.map((_, i) => (calls[i + 1] ? mixtureOf(products[calls[i + 1]!.time] as number) : { alpha: 1, noise: 0 }));
    return {
      scales: calls.map(({ scale }) => scale),
      steps: calls.map((call, i) => {
        const time = call.time * c.timestep_scaling;
        const [skip, out] = [deviation ** 2 / (time ** 2 + deviation ** 2), time / Math.hypot(time, deviation)];
        const { alpha } = levels[i] as { alpha: number };
        const next = combined([alpha * out, cleanOf(c)], [alpha * skip, ownState(call)]);
        return [stageOf({ call, after: calls[i + 1], next })];
      }),
      fresh: levels.map(({ noise }, i) => noise / (calls[i + 1]?.scale ?? 1)),
    };
  };
}

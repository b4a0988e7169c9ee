/** Published schedulers that walk down noise levels: Euler, Euler ancestral and DPM-Solver++. */
import { badUsage } from "../../schemas/failure.ts";
import { sigmaOf } from "./published-betas.ts";
import type { AncestralConfig, DpmConfig, EulerConfig, TableConfig } from "./published-configs.ts";
import { dpmRule } from "./published-multistep.ts";
import { eulerRule } from "./published-rules.ts";
import { exponentialSigmas, interpolated, karrasSigmas, timeOf } from "./published-sigmas.ts";
import { linspace, roundEven, type Spacing, trailing } from "./published-timesteps.ts";
import { checked, LEAST, type OwnSchedule, predicted, productsOf, spacedBy } from "./published-visits.ts";

/** Whether the initial noise is as large as the largest sigma; else the clean image's own deviation, 1, is taken to be in it as well. */
function initialDeviation({ timestep_spacing: spacing }: { timestep_spacing: Spacing }, sigmas: readonly number[]): number {
  const largest = Math.max(...sigmas);
  return spacing === "leading" ? Math.fround(Math.sqrt(Math.fround(Math.fround(largest ** 2) + 1))) : largest;
}

/** Euler's method over sigma (Karras et al. 2022, algorithm 1 without its correction). */
export function euler(c: EulerConfig): OwnSchedule {
  const products = productsOf(c, LEAST);
  const levels = products.map(sigmaOf);
  return {
    prediction: predicted[c.prediction_type],
    isDeterministic: true,
    rule: eulerRule,
    products,
    visits: (steps) => {
      let timesteps = spacedBy(c, checked(steps, c)).map(Math.fround);
      let sigmas = interpolated(timesteps, levels);
      const ends = { first: c.sigma_max ?? (sigmas[0] as number), last: c.sigma_min ?? (sigmas.at(-1) as number), count: steps };
      if (c.use_karras_sigmas || c.use_exponential_sigmas) {
        sigmas = c.use_karras_sigmas ? karrasSigmas(ends) : exponentialSigmas(ends);
        timesteps = sigmas.map((sigma) => Math.fround(timeOf(sigma, levels)));
      }
      sigmas = [...sigmas.map(Math.fround), c.final_sigmas_type === "zero" ? 0 : (levels[0] as number)];
      return { timesteps, sigmas, initNoiseSigma: initialDeviation(c, sigmas) };
    },
  };
}

/** Euler's method down to a lower level than the next, and noise up to that. */
export function ancestral(c: AncestralConfig): OwnSchedule {
  const products = productsOf(c, LEAST);
  const levels = products.map(sigmaOf);
  const visits = (steps: number) => {
    const timesteps = spacedBy(c, checked(steps, c)).map(Math.fround);
    const sigmas = [...interpolated(timesteps, levels).map(Math.fround), 0];
    return { timesteps, sigmas, initNoiseSigma: initialDeviation(c, sigmas) };
  };
  return { prediction: predicted[c.prediction_type], isDeterministic: false, products, visits };
}

/** A scheduler whose steps are not known here, but the levels of its network's training. */
export const unwalked =
  (isDeterministic: boolean) =>
  (c: TableConfig): OwnSchedule => ({
    prediction: predicted[c.prediction_type],
    isDeterministic,
    products: productsOf(c, LEAST),
    visits: () => {
      throw badUsage("Cannot lay out the steps of this scheduler: they are not known here; take a DDIMScheduler");
    },
  });

/** Lu et al. 2022. */
export function dpm(c: DpmConfig): OwnSchedule {
  const products = productsOf(c, LEAST);
  const levels = products.map(sigmaOf);
  const isNoisy = c.algorithm_type.startsWith("sde-");
  const cut = c.lambda_min_clipped ?? Number.NEGATIVE_INFINITY;
  const last = products.filter((product) => lambdaOf(product) >= cut).length; // lambda falls from step to step
  return {
    prediction: predicted[c.prediction_type],
    isDeterministic: !isNoisy,
    ...(!isNoisy && { rule: dpmRule(c) }),
    products,
    visits: (steps) => {
      let timesteps = dpmTimesteps(c, checked(steps, c), last);
      let sigmas = interpolated(timesteps, levels);
      const ends = { first: levels.at(-1) as number, last: levels[0] as number, count: steps };
      if (c.use_karras_sigmas || c.use_exponential_sigmas) {
        sigmas = c.use_karras_sigmas ? karrasSigmas(ends) : exponentialSigmas(ends);
        const isRounded = c.use_karras_sigmas && c.beta_schedule !== "squaredcos_cap_v2";
        timesteps = sigmas.map((sigma) => (isRounded ? roundEven(timeOf(sigma, levels)) : Math.floor(timeOf(sigma, levels))));
      }
      sigmas = [...sigmas.map(Math.fround), c.final_sigmas_type === "zero" ? 0 : (levels[0] as number)];
      return { timesteps, sigmas, initNoiseSigma: 1 };
    },
  };
}

/** ln(alpha / s) in float32. */
const lambdaOf = (product: number): number =>
  Math.fround(
    Math.fround(Math.log(Math.fround(Math.sqrt(product)))) - Math.fround(Math.log(Math.fround(Math.sqrt(Math.fround(1 - product))))),
  );

/** The steps of DPM-Solver, one fewer than a spacing from both ends has, down from the first of `last` training steps. */
function dpmTimesteps(c: DpmConfig, steps: number, last: number): number[] {
  if (c.timestep_spacing === "linspace") {
    return linspace(0, last - 1, steps + 1)
      .map(roundEven)
      .reverse()
      .slice(0, -1);
  }
  if (c.timestep_spacing === "trailing") return trailing({ count: steps, trained: c.num_train_timesteps, last });
  const distance = Math.floor(last / (steps + 1));
  return Array.from({ length: steps }, (_, i) => (steps - i) * distance + c.steps_offset);
}

/** Published schedulers that visit training steps themselves and publish no noise levels: DDIM, DDPM, PNDM and LCM. */
import { badUsage } from "../../schemas/failure.ts";
import { type BetaConfig, sigmaOf } from "./published-betas.ts";
import type { DdimConfig, DdpmConfig, LcmConfig, PndmConfig } from "./published-configs.ts";
import { pndmRule } from "./published-multistep.ts";
import { ddimRule, ddpmRule, lcmRule } from "./published-rules.ts";
import { multistep, roundEven, rungeKutta } from "./published-timesteps.ts";
import { checked, type OwnSchedule, predicted, productsOf, type Rule, spacedBy } from "./published-visits.ts";

/** A scheduler that visits training steps themselves; its sigmas are theirs and then `end`. */
function ofSteps(options: {
  c: BetaConfig & { prediction_type: keyof typeof predicted };
  isDeterministic: boolean;
  rule: Rule | undefined;
  products: Float32Array;
  timesteps: (steps: number) => number[];
  /** The level at the end of a walk. */
  end: number;
}): OwnSchedule {
  const { c, isDeterministic, rule, products, timesteps, end } = options;
  return {
    prediction: predicted[c.prediction_type],
    isDeterministic,
    ...(rule && { rule }),
    products,
    visits: (steps) => {
      const times = timesteps(checked(steps, c));
      const beyond = times.find((time) => time >= products.length);
      if (beyond !== undefined) {
        throw badUsage(
          `Cannot lay out ${steps} steps: the time ${beyond} is beyond the ${products.length} of training; ask for fewer steps`,
        );
      }
      return { timesteps: times, sigmas: [...times.map((time) => sigmaOf(products[time] as number)), end], initNoiseSigma: 1 };
    },
  };
}

const clipOf = (c: { clip_sample: boolean; clip_sample_range: number }) => (c.clip_sample ? { clip: c.clip_sample_range } : {});

/** Where a walk of DDIM or PNDM ends: without noise, or at the level of the first training step. */
const endOf = (c: { set_alpha_to_one: boolean }, products: Float32Array): number =>
  c.set_alpha_to_one ? 0 : sigmaOf(products[0] as number);

/** Song et al. 2021. */
export function ddim(c: DdimConfig): OwnSchedule {
  const products = productsOf(c);
  const timesteps = (steps: number) => spacedBy(c, steps).map(roundEven);
  return {
    ...ofSteps({ c, isDeterministic: true, rule: ddimRule(c, products), products, timesteps, end: endOf(c, products) }),
    ...clipOf(c),
  };
}

/** Ho et al. 2020, whose every step adds noise. */
export function ddpm(c: DdpmConfig): OwnSchedule {
  const products = productsOf(c);
  const timesteps = (steps: number) => spacedBy(c, steps).map(roundEven);
  return { ...ofSteps({ c, isDeterministic: false, rule: ddpmRule(c, products), products, timesteps, end: 0 }), ...clipOf(c) };
}

/** Liu et al. 2022: PLMS where its Runge-Kutta steps are skipped, as in Stable Diffusion. */
export function pndm(c: PndmConfig): OwnSchedule {
  const products = productsOf(c);
  const timesteps = (steps: number) => {
    const ascending = spacedBy(c, steps).map(roundEven).reverse();
    if (c.skip_prk_steps) return multistep(ascending);
    if (steps < 4) throw badUsage(`Cannot lay out ${steps} steps of PNDMScheduler: without skip_prk_steps it takes at least 4`);
    return rungeKutta(ascending, Math.floor(c.num_train_timesteps / steps));
  };
  return ofSteps({ c, isDeterministic: true, rule: pndmRule(c, products), products, timesteps, end: endOf(c, products) });
}

/** Luo et al. 2023: steps of the walk that it was distilled from. */
export function lcm(c: LcmConfig): OwnSchedule {
  const { original_inference_steps: original, num_train_timesteps: trained } = c;
  const distance = Math.floor(trained / original);
  const timesteps = (steps: number) => {
    if (steps > original) throw badUsage(`Cannot lay out ${steps} steps of LCMScheduler: it was distilled from ${original}; ask for fewer`);
    return Array.from({ length: steps }, (_, i) => (original - Math.floor(i * (original / steps))) * distance - 1);
  };
  const products = productsOf(c);
  return { ...ofSteps({ c, isDeterministic: false, rule: lcmRule(c, products), products, timesteps, end: 0 }), ...clipOf(c) };
}

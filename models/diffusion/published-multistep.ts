/** What one step of a published scheduler does that remembers earlier ones: PNDM and DPM-Solver. */
import {
  type Call,
  CLEAN,
  combined,
  type Form,
  type Mixture,
  memory,
  mixtureOf,
  noiseOf,
  ownState,
  predictionOf,
  stageOf,
} from "./published-forms.ts";
import type { DpmConfig, PndmConfig } from "./published-configs.ts";
import { unitCalls } from "./published-rules.ts";
import { predicted, type Rule } from "./published-visits.ts";

/** Weights of the newest predictions, newest first, by how many of them there are (Adams and Bashforth). */
const ADAMS = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]] as const;

/**
 * Liu et al. 2022. PLMS: the first step goes down, asks there, and goes again by the mean of both predictions; all others by the newest
 * four. PNDM takes its first three steps by Runge and Kutta's four stages. Every step is the transfer of eq. 9.
 */
export function pndmRule(c: PndmConfig, products: Float32Array): Rule {
  const end = c.set_alpha_to_one ? 1 : (products[0] as number);
  const prediction = predicted[c.prediction_type];
  /** From a state at one training step to another by a prediction; where that is v, the noise follows from the state. */
  function transfer({ from, to, state, by }: { from: number; to: number; state: Form; by: Form }): Form {
    const [above, below] = [mixtureOf(products[from] as number), mixtureOf(products[to] ?? end)];
    const ratio = below.alpha / above.alpha;
    const noise = below.noise - ratio * above.noise;
    if (prediction === "epsilon") return combined([ratio, state], [noise, by]);
    return combined([ratio + noise * above.noise, state], [noise * above.alpha, by]);
  }

  return (visits, steps) => {
    const distance = Math.floor(c.num_train_timesteps / steps);
    const calls = unitCalls(visits);
    const [START, SUM, FIRST] = c.skip_prk_steps ? [1, 1, 0] : [0, 1, 2]; // memories; the three newest predictions are kept from FIRST on
    const history: number[] = []; // memories of the newest predictions, newest first
    let predictions = 0;
    /** The weighted sum of this prediction and those before it, and which memory is to hold it from now on. */
    function adams(own: Form): { by: Form; keep: Record<number, Form> } {
      const weights = ADAMS[Math.min(3, history.length)] as readonly number[];
      const by = combined([weights[0] as number, own], ...history.map((i, age) => [weights[age + 1] as number, memory(i)] as const));
      const slot = FIRST + (predictions++ % 3);
      history.unshift(slot);
      history.splice(3);
      return { by, keep: { [slot]: own } };
    }

    const rungeKutta = (call: Call, i: number) => {
      const [stage, from] = [i % 4, (calls[i - (i % 4)] as Call).time];
      const own = predictionOf(prediction, call);
      const to = call.time - (i % 2 === 0 ? Math.floor(distance / 2) : 0);
      if (stage === 0) {
        const { keep } = adams(own);
        const state = ownState(call);
        return { next: transfer({ from, to, state, by: own }), keep: { ...keep, [START]: state, [SUM]: combined([1 / 6, own]) } };
      }
      const by = stage === 3 ? combined([1, memory(SUM)], [1 / 6, own]) : own;
      const next = transfer({ from, to, state: memory(START), by });
      return { next, keep: stage === 3 ? {} : { [SUM]: combined([1, memory(SUM)], [1 / 3, own]) } };
    };

    const multistep = (call: Call, i: number) => {
      const own = predictionOf(prediction, call);
      if (c.skip_prk_steps && i === 1) {
        const by = combined([1 / 2, own], [1 / 2, memory(FIRST)]);
        return { next: transfer({ from: call.time + distance, to: call.time, state: memory(START), by }), keep: {} };
      }
      const { by, keep } = adams(own);
      const state = ownState(call);
      const next = transfer({ from: call.time, to: call.time - distance, state, by });
      return { next, keep: i === 0 ? { ...keep, [START]: state } : keep };
    };

    const isRungeKutta = (i: number): boolean => !c.skip_prk_steps && i < 12;
    const stages = calls.map((call, i) => {
      const { next, keep } = isRungeKutta(i) ? rungeKutta(call, i) : multistep(call, i);
      return stageOf({ call, after: calls[i + 1], next, keep });
    });
    const first = c.skip_prk_steps ? [2] : [4, 4, 4]; // stages of the steps that take more than one
    let at = 0;
    const begun = first.map((count) => stages.slice(at, (at += count)));
    const scales = calls.map(({ scale }) => scale);
    return { scales, steps: [...begun, ...stages.slice(at).map((stage) => [stage])].filter((step) => step.length > 0) };
  };
}

/**
 * DPM-Solver++ (Lu et al. 2022b, of the clean prediction) and DPM-Solver (2022a, of the noise), by up to three of the newest
 * predictions. The first steps are of lower order, and the last ones where the config or the end without noise says so.
 */
export function dpmRule(c: DpmConfig): Rule {
  const isOfClean = c.algorithm_type === "dpmsolver++";
  return (visits) => {
    const { sigmas } = visits;
    const calls = unitCalls(visits);
    const count = calls.length;
    const width = c.solver_order - 1; // predictions that are remembered
    const isFew = c.lower_order_final && count < 15;
    const orderOf = (i: number): number => {
      const isLast = i === count - 1 && (c.euler_at_final || isFew || c.final_sigmas_type === "zero");
      const isLastButOne = i === count - 2 && isFew;
      return Math.min(c.solver_order, i + 1, isLast ? 1 : isLastButOne ? 2 : 3);
    };
    return {
      scales: calls.map(({ scale }) => scale),
      steps: calls.map((call, i) => {
        const [from, to] = [sigmas[i] as number, sigmas[i + 1] as number];
        const own = isOfClean ? CLEAN : noiseOf(call);
        const past = (age: number): Form => memory((i - age) % width);
        const order = orderOf(i);
        const { kept, weights } = dpmWeights({ isOfClean, from, to, isMidpoint: c.solver_type === "midpoint" && order < 3 });
        const slopes = order > 1 ? slopesOf({ own, past, sigmas: sigmas.slice(0, i + 2), order }) : [];
        const next = combined([kept, ownState(call)], ...[own, ...slopes].map((form, k) => [weights[k] as number, form] as const));
        return [stageOf({ call, after: calls[i + 1], next, ...(width > 0 && { keep: { [i % width]: own } }) })];
      }),
    };
  };
}

/** What a step keeps of the state, and the weights of the prediction, its slope and its curvature in units of the step. */
function dpmWeights(options: { isOfClean: boolean; from: number; to: number; isMidpoint: boolean }): { kept: number; weights: number[] } {
  const { isOfClean, from, to, isMidpoint } = options;
  const [above, below] = [from, to].map((sigma) => mixtureOf(1 / (1 + sigma ** 2))) as [Mixture, Mixture];
  const h = Math.log(from / to);
  if (isOfClean) {
    const lost = 1 - to / from;
    const slope = isMidpoint ? lost / 2 : 1 - lost / h;
    return { kept: below.noise / above.noise, weights: [lost, slope, 1 / 2 - (h - lost) / h ** 2].map((weight) => below.alpha * weight) };
  }
  const gained = from / to - 1;
  const slope = isMidpoint ? gained / 2 : gained / h - 1;
  const [, ...others] = [0, slope, (gained - h) / h ** 2 - 1 / 2].map((weight) => -below.noise * weight);
  return { kept: below.alpha / above.alpha, weights: [-below.alpha * (from - to), ...others] }; // the first is finite down to no noise
}

/** Slope and curvature in units of a step, from two or three of the predictions; `sigmas` end with the step's own two. */
function slopesOf(options: { own: Form; past: (age: number) => Form; sigmas: readonly number[]; order: number }): Form[] {
  const { own, past, sigmas, order } = options;
  const [to, from, ...before] = [...sigmas].reverse() as [number, number, ...number[]];
  const gap = (age: number): number => Math.log((before[age] as number) / (before[age - 1] ?? from)) / Math.log(from / to);
  const newest = combined([1 / gap(0), own], [-1 / gap(0), past(1)]);
  if (order < 3) return [newest];
  const older = combined([1 / gap(1), past(1)], [-1 / gap(1), past(2)]);
  const both = gap(0) + gap(1);
  const bend = combined([1 / both, newest], [-1 / both, older]);
  return [combined([1, newest], [gap(0), bend]), bend];
}

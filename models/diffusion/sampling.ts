/**
 * Draws samples by a plan, from given unit noise to clean latents: integrates the probability-flow ODE, or goes down noise
 * levels by fresh noise on the clean prediction. A one-step student is the same thing with one stage, straight to zero.
 */
import type { Engine } from "../../engine/engine.ts";
import { filled } from "../../engine/fill.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type ConstantSet, createOrder, type VariableSet } from "../../engine/variables.ts";
import type { ConditionBag } from "../conditions.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, type Embedded, embedConditions, takesGuidance } from "../denoiser.ts";
import { isConditional } from "../encoders/own.ts";
import type { Parameters } from "../layers.ts";
import { guidedNetwork } from "./guidance.ts";
import { createParameterisation } from "./parameterisation.ts";
import { checkNoise, type SampleNoise } from "./sample-noise.ts";
import { scheduleOf } from "./plan-schedule.ts";
import type { SamplerPlan } from "./sampler-plan.ts";
import { createWalk } from "./walk.ts";
import { elements } from "../../engine/weights.ts";

export interface SamplingOptions {
  engine: Engine;
  spec: DenoiserSpec;
  network: ConstantSet | VariableSet;
  /** Where the set holds only what is trained of the network: the frozen rest, and both as all parameters. */
  adapted?: { frozen: ConstantSet; whole: (trained: Parameters, frozen: Parameters) => Parameters };
  plan: SamplerPlan;
  /** Rows of one evaluation. */
  batch: number;
  /** Whether all evaluations are one graph: see walk.ts. */
  unrolled?: boolean | undefined;
}

/** All the noise that the plan takes, as `noiseFor` makes it: a solver of the ODE takes that of the first state alone. */
export interface SamplerInputs extends SampleNoise {
  rows: number;
  conditions: ConditionBag;
}

/** What a batch of noise comes to. */
export interface Solved {
  /** Clean latents, [rows * h * w * c]. */
  latents: Float32Array;
  /** The states x before the solver steps that were asked for, in their order, each of the same shape. */
  states: Float32Array[];
}

export interface Sampling {
  /** Latents, and the states x before the solver steps `keep`, which rise: 0 is the noise times the highest level. */
  solve: (inputs: SamplerInputs & { keep: readonly number[] }) => Promise<Solved>;
  /** Clean latents [rows * h * w * c] for unit noise and conditions, batch after batch. */
  sample: (inputs: SamplerInputs) => Promise<Float32Array>;
  /** Network evaluations per sample; guidance doubles the rows of each, not their number. */
  evaluations: number;
}

/** Compiles the solver, one stage of it or all as one graph. */
export async function createSampling({ engine, spec, network: set, adapted, plan, batch, unrolled }: SamplingOptions): Promise<Sampling> {
  const parameterisation = createParameterisation(spec.diffusion);
  const schedule = scheduleOf(plan, spec);
  const { stages, begins, start: top } = schedule;
  const rowSize = elements(spec.shape);
  const guidance = takesGuidance(spec) ? { guidance: new Float32Array(batch).fill(plan.guidance) } : undefined;
  const scale = guidance ? (("solver" in plan ? plan.trueGuidance : undefined) ?? 1) : plan.guidance; // of two predictions
  const isGuided = scale !== 1 && isConditional(spec.network);
  const prior = "times" in plan ? plan.prior : undefined;

  const walk = await createWalk({
    engine,
    shape: [batch, ...spec.shape],
    schedule,
    parameterisation,
    sets: { trained: set, ...(adapted && { frozen: adapted.frozen }) },
    inputs: conditionInputs(spec, batch),
    unrolled,
    network: ({ trained, ...rest }, conditions) => {
      const network = adapted ? adapted.whole(trained, (rest as Record<"frozen", Parameters>).frozen) : trained;
      const held = (keep?: Tensor, copies = 1): Embedded =>
        embedConditions(spec, network, {
          ...Object.fromEntries(Object.entries(conditions).map(([name, t]) => [name, copies === 2 ? tf.concat([t, t]) : t])),
          ...(keep && { keep }),
        });
      if (!isGuided) return (at) => applyNetwork(spec, network, { ...at, condition: held() });
      return guidedNetwork({
        scale,
        ...("solver" in plan && plan.guidanceRescale !== undefined && { rescale: plan.guidanceRescale }),
        network: ({ keep, ...at }) => applyNetwork(spec, network, { ...at, condition: held(keep, 2) }),
      });
    },
  });

  /** start epsilon, on a prior mean + std n of each channel where the plan has one (YOSO). */
  function firstState(noise: Float32Array, ofPrior?: Float32Array): Float32Array {
    if (!prior || !ofPrior) return noise.map((n) => n * top);
    const { mean, std } = prior;
    return noise.map((n, i) => {
      const channel = i % mean.length;
      return (mean[channel] as number) + (std[channel] as number) * (ofPrior[i] as number) + top * n;
    });
  }

  /** One batch from noise to clean latents; the state before each stage in `kept` is read into its place there. */
  async function integrateBatch(inputs: SamplerInputs, from: number, kept: ReadonlyMap<number, Float32Array>): Promise<Float32Array> {
    const rows = Math.min(batch, inputs.rows - from);
    const take = <T extends Float32Array | Int32Array>(values: T, width: number): T =>
      filled(values.subarray(from * width, (from + rows) * width) as T, batch * width);
    const conditions = {
      keep: new Float32Array(batch).fill(1),
      ...Object.fromEntries(Object.entries(inputs.conditions).map(([name, values]) => [name, take(values, values.length / inputs.rows)])),
      ...guidance,
    };
    const { last, states } = await walk({
      start: firstState(take(inputs.noise, rowSize), inputs.prior && take(inputs.prior, rowSize)),
      inputs: conditions,
      noise: (i) => inputs.fresh?.[i] && take(inputs.fresh[i], rowSize),
      keep: [...kept.keys()],
    });
    for (const [i, place] of [...kept.values()].entries())
      place.set((states[i] as Float32Array).subarray(0, rows * rowSize), from * rowSize);
    return last.subarray(0, rows * rowSize);
  }

  const inOrder = createOrder(); // they share the trajectory
  const solve: Sampling["solve"] = (inputs) =>
    inOrder(async () => {
      checkNoise(plan, inputs);
      const latents = new Float32Array(inputs.rows * rowSize);
      const states = inputs.keep.map(() => new Float32Array(inputs.rows * rowSize));
      const kept = new Map(states.map((place, i) => [begins[inputs.keep[i] as number] as number, place]));
      for (let from = 0; from < inputs.rows; from += batch) latents.set(await integrateBatch(inputs, from, kept), from * rowSize);
      return { latents, states };
    });
  return {
    solve,
    sample: async (inputs) => (await solve({ ...inputs, keep: [] })).latents,
    evaluations: stages.length,
  };
}

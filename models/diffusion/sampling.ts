/**
 * Integrates the probability-flow ODE from given unit noise to clean latents. A one-step student is the same thing with
 * one stage, from sigmaMax straight to zero.
 */
import type { Engine } from "../../engine/engine.ts";
import { filled } from "../../engine/fill.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type ConstantSet, createOrder, type VariableSet } from "../../engine/variables.ts";
import { tensors } from "./arithmetic.ts";
import { denoise } from "./denoise.ts";
import type { ConditionBag } from "../conditions.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, type Embedded, embedConditions } from "../denoiser.ts";
import { isConditional } from "../encoders/own.ts";
import type { Parameters } from "../layers.ts";
import { guidedNetwork } from "./guidance.ts";
import { createParameterisation } from "./parameterisation.ts";
import { solverGrid } from "./schedule.ts";
import { advance, COEFFICIENTS, readCoefficients, solverPlan, stageOfStep, stepCoefficients } from "./solvers.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";

/** How to integrate: `steps` 1 is a single evaluation at sigmaMax, whatever the solver. */
export type SamplerPlan = Pick<SimulateSettings, "solver" | "steps" | "guidance">;

/** What a one-step student is sampled by. */
export const ONE_STEP: SamplerPlan = { solver: "euler", steps: 1, guidance: 1 };

/**
 * How a model is sampled: as its model.json says, or by any solver where that leaves it open. A student whose model.json
 * says nothing is asked once.
 */
export function planOf({ role, sampler }: Pick<DenoiserDescription, "role" | "sampler">, solver: SamplerPlan): SamplerPlan {
  if (sampler && sampler.times !== "any") return { solver: "euler", steps: sampler.times.length, guidance: sampler.guidance };
  return !sampler && role === "student" ? ONE_STEP : solver;
}

export interface SamplingOptions {
  engine: Engine;
  spec: DenoiserSpec;
  network: ConstantSet | VariableSet;
  /** Where the set holds only what is trained of the network: the frozen rest, and both as all parameters. */
  adapted?: { frozen: ConstantSet; whole: (trained: Parameters, frozen: Parameters) => Parameters };
  plan: SamplerPlan;
  /** Rows of one evaluation. */
  batch: number;
}

export interface SamplerInputs {
  /** Unit normal noise, [rows * h * w * c]. */
  noise: Float32Array;
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

/** Compiles one stage of the solver; sampling runs it again and again. */
export async function createSampling({ engine, spec, network: set, adapted, plan, batch }: SamplingOptions): Promise<Sampling> {
  const parameterisation = createParameterisation(spec.diffusion);
  const sigmas = solverGrid({ solver: plan.solver, parameterisation, steps: plan.steps });
  const coefficients = stepCoefficients({ plan: solverPlan({ solver: plan.solver, sigmas }), parameterisation });
  const rowSize = spec.shape.reduce((a, b) => a * b, 1);
  const isGuided = plan.guidance !== 1 && isConditional(spec.network);

  // What a stage hands to the next stays on the device: a whole trajectory is one upload and one read.
  const blank = { shape: [batch, ...spec.shape], data: new Float32Array(batch * rowSize) };
  const state = engine.variables("trajectory", { x: blank, memory: blank });
  const program = await engine.compile({
    name: "sampler stage",
    sets: { trained: set, state, ...(adapted && { frozen: adapted.frozen }) },
    inputs: { coefficients: { shape: [COEFFICIENTS] }, ...conditionInputs(spec, batch) },
    run: ({ trained, state: { x, memory }, ...rest }, inputs) => {
      const network = adapted ? adapted.whole(trained, (rest as Record<"frozen", Parameters>).frozen) : trained;
      const { coefficients, ...given } = inputs as { coefficients: Tensor };
      const stage = readCoefficients(coefficients);
      const conditions = given as Record<string, Tensor>;
      const held = (keep?: Tensor, copies = 1): Embedded =>
        embedConditions(spec, network, {
          ...Object.fromEntries(Object.entries(conditions).map(([name, t]) => [name, copies === 2 ? tf.concat([t, t]) : t])),
          ...(keep && { keep }),
        });
      const raw = isGuided
        ? guidedNetwork({
            scale: plan.guidance,
            network: ({ keep, ...at }) => applyNetwork(spec, network, { ...at, condition: held(keep, 2) }),
          })
        : (at: { x: Tensor; noiseLevel: Tensor }) => applyNetwork(spec, network, { ...at, condition: held() });
      const denoised = denoise({ x: x as Tensor, coefficients: stage, network: raw });
      return { outputs: {}, updates: { state: advance({ stage, x: x as Tensor, memory: memory as Tensor, denoised }, tensors) } };
    },
  });

  /** One batch from noise to clean latents; the state before each stage in `kept` is read into its place there. */
  async function integrateBatch(inputs: SamplerInputs, from: number, kept: ReadonlyMap<number, Float32Array>): Promise<Float32Array> {
    const rows = Math.min(batch, inputs.rows - from);
    const take = <T extends Float32Array | Int32Array>(values: T, width: number): T =>
      filled(values.subarray(from * width, (from + rows) * width) as T, batch * width);
    const start = { ...blank, data: Float32Array.from(take(inputs.noise, rowSize), (n) => n * (sigmas[0] as number)) };
    await state.load({ x: start, memory: start });
    const conditions = {
      keep: new Float32Array(batch).fill(1),
      ...Object.fromEntries(Object.entries(inputs.conditions).map(([name, values]) => [name, take(values, values.length / inputs.rows)])),
    };
    const read = async () => ((await state.read()).x as { data: Float32Array }).data.subarray(0, rows * rowSize);
    for (const [i, stage] of coefficients.entries()) {
      const place = kept.get(i);
      if (place) place.set(await read(), from * rowSize);
      await program.run({ coefficients: stage, ...conditions });
    }
    return read();
  }

  const inOrder = createOrder(); // they share the trajectory
  const solve: Sampling["solve"] = (inputs) =>
    inOrder(async () => {
      const latents = new Float32Array(inputs.rows * rowSize);
      const states = inputs.keep.map(() => new Float32Array(inputs.rows * rowSize));
      const kept = new Map(states.map((place, i) => [stageOfStep({ solver: plan.solver, step: inputs.keep[i] as number }), place]));
      for (let from = 0; from < inputs.rows; from += batch) latents.set(await integrateBatch(inputs, from, kept), from * rowSize);
      return { latents, states };
    });
  return {
    solve,
    sample: async (inputs) => (await solve({ ...inputs, keep: [] })).latents,
    evaluations: coefficients.length,
  };
}

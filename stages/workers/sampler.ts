/** Samples a teacher or student in a worker. */
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import type { SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import { createSampling, type SamplerInputs, type Solved } from "../../models/diffusion/sampling.ts";

export interface SamplerOptions {
  spec: DenoiserSpec;
  weights: Weights;
  plan: SamplerPlan;
  batch: number;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ spec, weights, plan, batch, engine: where }: SamplerOptions) {
  const engine = await createEngine(deviceOf(where));
  const sampling = await createSampling({ engine, spec, network: engine.constants("network", weights), plan, batch });
  return {
    solve: async (inputs: SamplerInputs & { keep: readonly number[] }): Promise<Solved> => sampling.solve(inputs),
    sample: async (inputs: SamplerInputs): Promise<Float32Array> => sampling.sample(inputs),
    evaluations: async (): Promise<number> => sampling.evaluations,
  };
}

export type Sampler = Awaited<ReturnType<typeof create>>;

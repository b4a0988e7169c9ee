/** Sampling that is timed: a DiT's, by one evaluation or by a solver. */
import type { Engine } from "../../engine/engine.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { ONE_STEP } from "../../models/diffusion/sampler-plan.ts";
import { createSampling, type SamplingOptions } from "../../models/diffusion/sampling.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { diffusionSettings, networkSettings } from "../../schemas/settings.ts";

/** Runs once and answers the numbers among the outputs: a training step's loss and metrics. */
export type Step = (step: number) => Promise<Record<string, number>>;

type DitSampling = { batch?: number; depth?: number; width?: number; side?: number } & Partial<Pick<SamplingOptions, "plan" | "unrolled">>;

/** Samples of a class-conditional DiT of programs.ts's shape, by one evaluation or another plan: `batch` images a run. */
export async function ditSample(
  engine: Engine,
  { batch = 16, depth = 4, width = 128, side = 16, ...how }: DitSampling = {},
): Promise<Step> {
  const { plan = ONE_STEP, unrolled } = how;
  const spec = {
    shape: [side, side, 4] as [number, number, number],
    network: networkSettings.parse({ width, depth }),
    diffusion: diffusionSettings.parse({}),
    classes: Array.from({ length: 10 }, (_, index) => String(index)),
    vocabulary: 0,
  };
  const network = engine.constants("network", initDenoiser(spec, 0));
  const { sample } = await createSampling({ engine, spec, network, plan, batch, unrolled });
  const noise = normals({ seed: 1, stream: "noise", length: batch * side * side * 4 });
  const label = Int32Array.from({ length: batch }, (_, row) => row % 10);
  return async () => {
    await sample({ noise, rows: batch, conditions: { label } });
    return {};
  };
}

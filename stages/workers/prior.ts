/** Draws tokens from a prior in a worker. */
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import { createPriorSampling, type PriorSampling, type TokenDraw } from "../../models/tokens/prior-sampling.ts";
import type { PriorSpec } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";

export interface PriorOptions {
  spec: PriorSpec;
  weights: Weights;
  batch: number;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. What guidance needs is compiled when it is first asked for. */
export async function create({ spec, weights, batch, engine: where }: PriorOptions) {
  const engine = await createEngine(deviceOf(where));
  const network = engine.constants("network", weights);
  const samplings = new Map<boolean, Promise<PriorSampling>>();
  return {
    sample: async (draw: TokenDraw): Promise<Int32Array> => {
      const isGuided = draw.guidance !== 1;
      const sampling = samplings.get(isGuided) ?? createPriorSampling({ engine, spec, network, batch, isGuided });
      samplings.set(isGuided, sampling);
      return (await sampling).sample(draw);
    },
  };
}

export type PriorWorker = Awaited<ReturnType<typeof create>>;

/** A compute module that trains a small network, for hosting.test.ts. */
import { createEngine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { ditStep } from "../../stages/bench/programs.ts";

export async function create({ seed }: { seed: number }) {
  const engine = await createEngine({ threads: 1 });
  const step = await ditStep(engine, { depth: 2, batch: 8, width: 64 });
  return {
    step: async ({ step: index }: { step: number }): Promise<{ loss: number }> => ({ loss: (await step(index)).loss as number }),
    /** As much as the checkpoint of a network of 4 million parameters. */
    save: async (): Promise<{ weights: Float32Array }> => ({ weights: normals({ seed, stream: "weights", length: 4e6 }) }),
  };
}

export type Training = Awaited<ReturnType<typeof create>>;

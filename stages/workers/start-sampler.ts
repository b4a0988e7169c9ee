import type { Compute } from "../../engine/compute.ts";
import type { Sampler, SamplerOptions } from "./sampler.ts";
import { startWorker } from "./start.ts";

/** Starts a worker that samples a teacher or student. `name` is what errors call it, "teacher sampler" unless given. */
export function startSampler(
  options: SamplerOptions & { name?: string; remedy?: string; signal: AbortSignal | undefined },
): Promise<Compute<Sampler>> {
  const { name = "teacher sampler", remedy = "lower simulate.batch", signal, ...sampler } = options;
  return startWorker<Sampler>({ name, module: new URL("./sampler.ts", import.meta.url), remedy, options: sampler, signal });
}

/** All noise that samples of a plan are made of, a pure function of (seed, stream, number of the sample, step). */
import type { DenoiserSpec } from "../../schemas/model.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { SamplerPlan } from "./sampler-plan.ts";
import { elements } from "../../engine/weights.ts";

/** Unit normal noise of some rows, each array [rows * h * w * c]. */
export interface SampleNoise {
  /** Of the first state. */
  noise: Float32Array;
  /** Of the states after it, for plans that go on by fresh noise: one fewer than there are noise levels. */
  fresh?: readonly Float32Array[];
  /** Of the prior, for plans that start from one. */
  prior?: Float32Array;
}

/**
 * All that a plan takes for the samples `from` and the `rows - 1` after it. `stream` names the purpose ("samples"): fresh
 * noise comes from "STREAM/renoise/1" and so on, that of a prior from "STREAM/prior", at the same offsets as the first noise.
 * That one is given where triples lend it, or has a stream of its own where `first` says so.
 */
export function noiseFor(options: {
  seed: number | bigint;
  stream: string;
  from?: number;
  rows: number;
  spec: Pick<DenoiserSpec, "shape">;
  plan: SamplerPlan;
  first?: Float32Array | string;
}): SampleNoise {
  const { seed, stream, from = 0, rows, spec, plan, first = stream } = options;
  const size = elements(spec.shape);
  const drawn = (name: string): Float32Array => normals({ seed, stream: name, offset: from * size, length: rows * size });
  const fresh = Array.from({ length: freshOf(plan) }, (_, i) => drawn(`${stream}/renoise/${i + 1}`));
  return {
    noise: typeof first === "string" ? drawn(first) : first,
    ...(fresh.length > 0 && { fresh }),
    ...(hasPrior(plan) && { prior: drawn(`${stream}/prior`) }),
  };
}

const freshOf = (plan: SamplerPlan): number => ("times" in plan && plan.between === "renoise" ? plan.times.length - 1 : 0);
const hasPrior = (plan: SamplerPlan): boolean => "times" in plan && plan.prior !== undefined;

/** Throws where noise is not all that the plan takes: it was not made for it by {@link noiseFor}. */
export function checkNoise(plan: SamplerPlan, { fresh = [], prior }: SampleNoise): void {
  if (fresh.length === freshOf(plan) && (prior !== undefined) === hasPrior(plan)) return;
  const [wanted, found] = [
    { fresh: freshOf(plan), prior: hasPrior(plan) },
    { fresh: fresh.length, prior: prior !== undefined },
  ].map(({ fresh, prior }) => `${fresh} fresh noises and ${prior ? "one" : "none"} for a prior`);
  throw new Error(`Cannot sample: the plan takes ${wanted}, and is given ${found}; take them from noiseFor`);
}

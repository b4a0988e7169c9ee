/** How samples are drawn of what a method is training: as its model.json is going to say, in every thread alike. */
import type { AnyMethod } from "../../methods/load.ts";
import type { Job } from "../../methods/method.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { planOf, type Sampled, type SamplerPlan, type SolverPlan } from "../../models/diffusion/sampler-plan.ts";

type Trained = Pick<Job<never>, "settings" | "subject">;

/** What its description is going to say of it; undefined where what is made draws no samples. */
export function sampledOf({ makes, sampler }: Pick<AnyMethod, "makes" | "sampler">, { settings, subject }: Trained): Sampled | undefined {
  const spec = subject.student ?? subject.spec;
  const isDenoiser = makes === "student" || makes === "teacher";
  return spec && isDenoiser ? { role: makes, spec, sampler: sampler?.(settings, subject) } : undefined;
}

/** The network that is sampled, and the plan by which; undefined where what is made draws no samples. */
export function trainedSampling(
  method: Pick<AnyMethod, "makes" | "sampler">,
  job: Trained,
): { spec: DenoiserSpec; plan: SamplerPlan } | undefined {
  const sampled = sampledOf(method, job);
  return sampled && { spec: sampled.spec, plan: planOf(sampled, job.subject.plan as SolverPlan) };
}

/** Which models have an ODE that can be solved: teachers, and students that say so in model.json. */
import { scheduleOf } from "../../models/diffusion/plan-schedule.ts";
import type { SolverPlan } from "../../models/diffusion/sampler-plan.ts";
import { takesGuidance } from "../../models/denoiser.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";

/** Throws a Failure where the model in `folder` is asked at noise levels of its own, or has no walk as the plan wants it. */
export function requireOde(folder: string, model: Pick<DenoiserDescription, "role" | "sampler" | "spec">, plan: SolverPlan): void {
  const { role, sampler, spec } = model;
  if (plan.trueGuidance !== undefined && plan.trueGuidance !== 1 && !takesGuidance(spec)) {
    throw badUsage(
      `Cannot guide ${folder} by simulate.trueGuidance=${plan.trueGuidance}: its network is not told the scale; set simulate.guidance, ` +
        "which is of two predictions there",
    );
  }
  if (role === "teacher" || (sampler?.times === "any" && sampler.between === "ode")) return void scheduleOf(plan, spec);
  throw new Failure(
    `Cannot simulate ${folder}: it holds a ${role} that is asked at fixed noise levels, ` +
      "not a network whose ODE can be solved. " +
      "Name a RUN of `pipeline pretrain teacher`.",
  );
}

/** Which models have an ODE that can be solved: teachers, and students that say so in model.json. */
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";

/** Throws a Failure where the model in `folder` is asked at noise levels of its own. */
export function requireOde(folder: string, { role, sampler }: Pick<DenoiserDescription, "role" | "sampler">): void {
  if (role === "teacher" || (sampler?.times === "any" && sampler.between === "ode")) return;
  throw new Failure(
    `Cannot simulate ${folder}: it holds a ${role} that is asked at fixed noise levels, ` +
      "not a network whose ODE can be solved. " +
      "Name a RUN of `pipeline pretrain teacher`.",
  );
}

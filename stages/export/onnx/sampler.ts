/** How an exported model is sampled: what of its schedule stands in its graph, and what in onestep.json. */
import { numbers } from "../../../models/diffusion/arithmetic.ts";
import type { Plan, Stage } from "../../../models/diffusion/machine.ts";
import { createParameterisation } from "../../../models/diffusion/parameterisation.ts";
import { type Schedule, scheduleOf } from "../../../models/diffusion/plan-schedule.ts";
import { allowedSteps, planOf, type SolverPlan } from "../../../models/diffusion/sampler-plan.ts";
import type { DenoiserDescription, DenoiserSpec } from "../../../schemas/model.ts";
import type { Loop, LoopStage, OnestepJson } from "../../../schemas/onestep-json.ts";

type Prior = { mean: readonly number[]; std: readonly number[] };

export interface ExportSampler {
  /** One call from noise to the latent, of which the graph holds everything; undefined of a loop. */
  direct?: { start: number; stage: Stage };
  /** Of a direct sampler the graph holds it, of a loop onestep.json. */
  prior?: Prior;
  guidance: number;
  /** As onestep.json has it. */
  described: OnestepJson["sampler"];
}

/** Numbers of calls of a student that was made for any number, beside those of its default. */
const SOME = [1, 2, 4, 8];

/**
 * The sampler of a model: of a student as its model.json says, in each number of calls that it was made for; of a teacher by the
 * `solver` settings.
 */
export function samplerOf(run: string, description: DenoiserDescription, solver: SolverPlan): ExportSampler {
  const { spec, role } = description;
  const asked = (steps?: number) => planOf(description, solver, { ...(steps !== undefined && { steps }), name: run });
  const plan = asked();
  const schedule = scheduleOf(plan, spec);
  const { guidance } = plan;
  const prior = "times" in plan ? plan.prior : undefined;
  const calls = schedule.stages.length;
  const allowed = allowedSteps(description);
  const others = allowed === "any" ? (role === "student" ? SOME : []) : allowed;
  const [stage] = schedule.stages;
  if (calls === 1 && stage && others.every((count) => count === 1)) {
    return { direct: { start: schedule.start, stage }, guidance, ...(prior && { prior }), described: { kind: "direct" } };
  }
  const loops = [schedule, ...others.filter((count) => count !== calls).map((count) => scheduleOf(asked(count), spec))];
  return {
    guidance,
    described: {
      kind: "loop",
      calls,
      loops: Object.fromEntries(loops.map((each) => [each.stages.length, loopOf(each, spec)])),
      ...(prior && { prior: { mean: [...prior.mean], std: [...prior.std] } }),
    },
  };
}

function loopOf({ start, clip, stages, fresh }: Schedule, spec: DenoiserSpec): Loop {
  return { start, ...(clip !== undefined && { clip }), stages: stagesOf(stages, fresh, spec) };
}

function stagesOf(stages: Plan, fresh: readonly number[], { diffusion }: DenoiserSpec): LoopStage[] {
  const parameterisation = createParameterisation(diffusion);
  return stages.map(({ time, memories, ...stage }, i) => {
    const { cSkip, cOut, cIn, cNoise } = parameterisation.precondition(stage.sigma, numbers);
    return {
      ...stage,
      level: [cSkip, cOut, cIn, time ?? cNoise],
      fresh: i < stages.length - 1 ? (fresh[i] as number) : 0,
      memories: memories.map((memory) => ({ ...memory })),
    };
  });
}

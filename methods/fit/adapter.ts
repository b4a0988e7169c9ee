/** Whether what a method trains of its student (LoRA targets, names of parameters) is there in the student's network. */
import { type DenoiserSpec, denoiserLayout, parameterGroups } from "../../models/denoiser.ts";
import { type Adapter, adapterProblem } from "../../models/training/adapters.ts";
import type { FitRule } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";

/**
 * The rule that each target of the setting `adapter` matches something: in the networks that `networks` makes of the teacher's
 * (the students that the adapter is for), or in the teacher's itself. Nothing is said of families without a layout.
 */
export function adapterFit<S extends { adapter: Adapter }>(
  networks: (own: S, teacher: DenoiserSpec) => readonly DenoiserSpec[] = (_, teacher) => [teacher],
): FitRule<Asked<S>> {
  return {
    settings: ["adapter", "network.kind"],
    why: ({ own, planned, settings: { diffusion } }) => {
      if (own.adapter === "all") return undefined;
      const side = planned.network.patch * 2 ** planned.network.multipliers.length; // names do not depend on it
      const teacher = { shape: planned.shape ?? ([side, side, 1] as const), network: planned.network, diffusion, ...named };
      const problems = networks(own, teacher as DenoiserSpec).map((spec) => {
        const names = denoiserLayout(spec);
        return names && adapterProblem(own.adapter, { names: Object.keys(names), groups: parameterGroups(spec) });
      });
      return problems.find((problem) => problem !== undefined);
    },
  };
}

/** Conditions of any names: they decide how large a table is, and not what it is called. */
const named = { classes: ["class"], vocabulary: 512 };

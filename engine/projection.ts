/** How much memory a program will take that is not compiled yet: it is traced alone. */
import type { Placed } from "./frozen.ts";
import type { ProgramSpec, Sets } from "./program.ts";
import { traceProgram } from "./trace.ts";
import type { ConstantSet } from "./variables.ts";
import { countWeights } from "./weights.ts";

/** What a program keeps in memory while it runs, in bytes: its variables, each twice, and frozen weights, and the most of what it computes. */
export function programBytes<S extends Sets>(spec: ProgramSpec<S>): { state: number; computed: number } {
  const frozen = new Map<ConstantSet, Record<string, Placed>>();
  let state = 0;
  for (const set of Object.values(spec.sets)) {
    state += set.kind === "constants" ? 4 * countWeights(set.weights) : 8 * countWeights(set.variables);
    if (set.kind === "variables") continue;
    const placed = Object.entries(set.weights).map(([key, { shape }]) => [key, { place: "input", slot: { shape }, unfolded: false }]);
    frozen.set(set, Object.fromEntries(placed));
  }
  return { state, computed: traceProgram(spec, { frozen }).peak() };
}

/** What a model can be asked for, as links and controls say it. */
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import type { Choices } from "./link.ts";

/** The numbers of network calls a model can be asked for; the first is what it is asked for unless somebody wants another. */
export function callsOf({ sampler }: Pick<OnestepJson, "sampler">): number[] {
  if (sampler.kind === "direct") return [1];
  const others = Object.keys(sampler.loops).map(Number);
  return [sampler.calls, ...others.filter((calls) => calls !== sampler.calls).sort((a, b) => a - b)];
}

/** What a page asks its model for: captions or classes by their names, and the numbers of calls. */
export function choicesOf(model: Pick<OnestepJson, "sampler" | "condition">): Choices {
  const { condition } = model;
  return { readsCaptions: "captions" in condition, names: "names" in condition ? condition.names : [], calls: callsOf(model) };
}

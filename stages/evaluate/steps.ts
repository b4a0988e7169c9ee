/** At how many network calls a model is measured. */
import { planOf, type Sampled } from "../../models/diffusion/sampler-plan.ts";
import { badUsage } from "../../schemas/failure.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";

/**
 * The numbers in a list as in "1,2,4,8", rising, each once. Throws a usage failure where it is no such list, and, naming the
 * numbers there are, where the model in `name` was not made for one of them.
 */
export function planSteps(options: { list: string; model: Sampled; name: string; simulate: SimulateSettings }): number[] {
  const { list, model, name, simulate } = options;
  const numbers = [...new Set(list.split(",").map(Number))].sort((a, b) => a - b);
  if (!numbers.every((n) => Number.isInteger(n) && n > 0)) {
    throw badUsage(`Cannot measure ${name} at the steps "${list}": give whole numbers above 0, as in --steps 1,2,4,8`);
  }
  for (const steps of numbers) planOf(model, simulate, { steps, name });
  return numbers;
}

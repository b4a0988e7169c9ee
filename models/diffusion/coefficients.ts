/** Plans of the machine (machine.ts) as inputs of one compiled stage: a vector of numbers for every evaluation. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { numbers } from "./arithmetic.ts";
import { idle, memoriesOf, type Plan, type Update } from "./machine.ts";
import type { Parameterisation, Preconditioning } from "./parameterisation.ts";

const columns = ["state", "denoised", "clipped"] as const;
const ofMemory = ["used", "kept", "state", "denoised"] as const;
const preconditioning = ["cSkip", "cOut", "cIn", "cNoise"] as const;

/** Scalars that one compiled stage takes as its input `coefficients`, of a plan with so many memories. */
export const coefficientCount = (memories: number): number => columns.length + preconditioning.length + memories * ofMemory.length;

/** A plan as inputs for one compiled stage run again and again: a vector for every evaluation, in order. */
export function stepCoefficients({ plan, parameterisation }: { plan: Plan; parameterisation: Parameterisation }): Float32Array[] {
  const memories = Array.from({ length: memoriesOf(plan) }, (_, i) => i);
  return plan.map((stage) => {
    const { cNoise, ...coefficients } = parameterisation.precondition(stage.sigma, numbers);
    const told = { ...coefficients, cNoise: stage.time ?? cNoise };
    return Float32Array.from([
      ...columns.map((name) => stage[name]),
      ...preconditioning.map((name) => told[name]),
      ...memories.flatMap((i) => ofMemory.map((name) => (stage.memories[i] ?? idle)[name])),
    ]);
  });
}

/** Takes a vector of {@link stepCoefficients} apart again inside a traced function: scalars of shape [1]. */
export function readCoefficients(coefficients: Tensor): Update<Tensor> & Preconditioning<Tensor> {
  const scalars = tf.split(coefficients, coefficients.shape[0] as number) as Tensor[];
  const take = <N extends string>(names: readonly N[]): Record<N, Tensor> =>
    Object.fromEntries(names.map((name) => [name, scalars.shift()])) as Record<N, Tensor>;
  const [update, told] = [take(columns), take(preconditioning)];
  return { ...update, ...told, memories: Array.from({ length: scalars.length / ofMemory.length }, () => take(ofMemory)) };
}

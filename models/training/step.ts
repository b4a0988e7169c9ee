/** Compiled updates: one program that takes a batch, its loss, gradients and AdamW, and leaves the new state in place. */
import type { ProgramSpec, Tensors } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { compileAccumulation } from "./accumulation.ts";
import { healthAfter } from "./health.ts";
import { LEFT, ownSets, prefixed, type Step, type StepOptions } from "./plan.ts";
import { gradientsOf, UPDATE_INPUTS, updatesOf } from "./update.ts";

/**
 * Compiles one AdamW update of `trained` by the gradient of `loss`. `others` are sets the loss reads and does not change.
 * The step's inputs are those declared, `rateInputs` and the EMA's `decay`.
 *
 * With `accumulate` n the batch is taken in n micro-batches, whose gradients are averaged before the one update: the
 * memory of a batch n times smaller, and the same update up to rounding (1e-5) where the loss is a mean over rows that
 * do not look at each other. Inputs whose first dimension is `batch` are divided, the others go to each micro-batch.
 * Scalar metrics are averaged over the micro-batches, others joined along their rows; what is left for other programs has
 * all rows of the batch, and is taken by the same micro-batches.
 *
 * With `together` this worker takes every so manieth micro-batch alone, and the others the rest: the gradients of all are added up
 * in the order of the micro-batches, and every worker makes the update, so that the bits are those of one worker. Only scalars of
 * the micro-batches are shared; other outputs are left out, and what is left for other programs has this worker's rows.
 */
export async function compileStep(options: StepOptions): Promise<Step> {
  const { batch = 1, accumulate = 1 } = options;
  if (accumulate > 1) return compileAccumulation({ ...options, batch, accumulate });
  return (await options.engine.compile(stepProgram(options))).run;
}

function stepProgram(options: StepOptions): ProgramSpec {
  const { name, trained, others = {}, loss, optimiser, leaves = {}, takes = {}, checkpointing = false, health } = options;
  return {
    name,
    sets: { ...others, ...trained, ...(health && { health }), ...prefixed("left.", leaves), ...prefixed("taken.", takes) },
    inputs: { ...options.inputs, ...UPDATE_INPUTS },
    checkpointing,
    run: (sets, inputs) => {
      const taken = Object.keys(takes).map((key) => [key, (sets as Record<string, Tensors>)[`taken.${key}`]?.[LEFT] as Tensor]);
      const result = gradientsOf(loss, ownSets(sets), { ...inputs, ...(Object.fromEntries(taken) as Tensors) });
      const { norm, updates } = updatesOf(sets as never, inputs, result.gradients, optimiser, options.targetDecay);
      const left = Object.keys(leaves).map((key) => [`left.${key}`, { [LEFT]: result.left[key] as Tensor }]);
      const outputs = { loss: result.loss, norm, ...result.metrics };
      return { outputs, updates: { ...updates, ...healthAfter(sets as never, outputs), ...Object.fromEntries(left) } };
    },
  };
}

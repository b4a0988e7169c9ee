/** Compiled updates: one program that takes a batch, its loss, gradients and AdamW, and leaves the new state in place. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, Program, ProgramSpec, Tensors } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import type { Parameters } from "../layers.ts";
import { compileAccumulation } from "./accumulation.ts";
import type { AdamConfig } from "./optimiser.ts";
import type { Trained } from "./trained.ts";
import { gradientsOf, UPDATE_INPUTS, updatesOf } from "./update.ts";

/** A loss over the parameters in training: `others` are the sets that it reads, `left` is what goes to other programs. */
export type Loss = (
  parameters: Parameters,
  inputs: Record<string, Tensor>,
  others: Record<string, Tensors>,
) => { loss: Tensor; metrics: Parameters; left?: Parameters };

export interface StepOptions {
  engine: Engine;
  name: string;
  trained: Trained;
  others?: Record<string, VariableSet | ConstantSet>;
  inputs: ProgramSpec["inputs"];
  loss: Loss;
  optimiser: AdamConfig;
  /** Rows of the batch; needed with `accumulate`. */
  batch?: number;
  /** Micro-batches that a batch is taken in. */
  accumulate?: number;
  /** Where the loss's `left` tensors go: they stay on the device. */
  leaves?: Readonly<Record<string, VariableSet>>;
  /** Left tensors of other programs, which the loss finds among its inputs. */
  takes?: Readonly<Record<string, VariableSet>>;
}

/** The one variable of a set that holds a tensor which one program leaves for another. */
export const LEFT = "value";

/**
 * Runs one update; outputs `loss`, `norm` (of the gradient, before clipping) and the loss function's metrics. With
 * `outputs` only those are brought back from the device: none, and a GPU is not waited for.
 */
export type Step = Program["run"];

/**
 * Compiles one AdamW update of `trained` by the gradient of `loss`. `others` are sets the loss reads and does not change.
 * The step's inputs are those declared, `rateInputs` and the EMA's `decay`.
 *
 * With `accumulate` n the batch is taken in n micro-batches, whose gradients are averaged before the one update: the
 * memory of a batch n times smaller, and the same update up to rounding (1e-5) where the loss is a mean over rows that
 * do not look at each other. Inputs whose first dimension is `batch` are divided, the others go to each micro-batch.
 * Scalar metrics are averaged over the micro-batches, others joined along their rows; what is left for other programs has
 * all rows of the batch, and is taken by the same micro-batches.
 */
export async function compileStep(options: StepOptions): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser, batch = 1, accumulate = 1, leaves = {}, takes = {} } = options;
  if (accumulate > 1) return compileAccumulation({ ...options, batch, accumulate });
  const program = await engine.compile({
    name,
    sets: { ...others, ...trained, ...prefixed("left.", leaves), ...prefixed("taken.", takes) },
    inputs: { ...options.inputs, ...UPDATE_INPUTS },
    run: (sets, inputs) => {
      const taken = Object.keys(takes).map((key) => [key, (sets as Record<string, Tensors>)[`taken.${key}`]?.[LEFT] as Tensor]);
      const result = gradientsOf(loss, ownSets(sets), { ...inputs, ...(Object.fromEntries(taken) as Tensors) });
      const { norm, updates } = updatesOf(sets as never, inputs, result.gradients, optimiser);
      const left = Object.keys(leaves).map((key) => [`left.${key}`, { [LEFT]: result.left[key] as Tensor }]);
      return { outputs: { loss: result.loss, norm, ...result.metrics }, updates: { ...updates, ...Object.fromEntries(left) } };
    },
  });
  return program.run;
}

/** Keys with a prefix, which keeps tensors on their way between programs apart from the sets of networks. */
export const prefixed = <T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));

/** The sets without tensors on their way between programs. */
export const ownSets = (sets: Record<string, unknown>): Record<string, Tensors> =>
  Object.fromEntries(Object.entries(sets).filter(([key]) => !/^(left|taken)\./.test(key))) as Record<string, Tensors>;

/** Scalar outputs as numbers; others are left out. */
export function scalars(outputs: Record<string, InputArray>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(outputs).flatMap(([name, values]) => (values.length === 1 ? [[name, values[0] as number]] : [])),
  );
}

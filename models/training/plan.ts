/** What an update is made of before it is compiled. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, Program, ProgramSpec, Tensors } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import type { Parameters } from "../layers.ts";
import type { AdamConfig } from "./optimiser.ts";
import type { SharedSum } from "./shared-sum.ts";
import type { Trained } from "./trained.ts";

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
  /** Decay of the target that `trained` keeps. */
  targetDecay?: number;
  /** Rows of the batch; needed with `accumulate`. */
  batch?: number;
  /** Micro-batches that a batch is taken in. */
  accumulate?: number;
  /** Where several workers take the micro-batches in turn: what adds up the gradients of all. */
  together?: SharedSum | undefined;
  /** Whether gradients compute the networks' blocks once more instead of keeping what these made: less memory, more time, the same bits. */
  checkpointing?: boolean;
  /** Where the loss's `left` tensors go: they stay on the device. */
  leaves?: Readonly<Record<string, VariableSet>>;
  /** What counts figures that are not finite, for steps whose figures are not read (see health.ts). */
  health?: VariableSet | undefined;
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

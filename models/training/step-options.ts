/** What an update is compiled from, and what it is then. */
import type { Engine } from "../../engine/engine.ts";
import type { Program, ProgramSpec, Tensors } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import type { Parameters } from "../layers.ts";
import type { AdamConfig } from "./optimiser.ts";
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
  /** Rows of the batch; needed with `accumulate`. */
  batch?: number;
  /** Micro-batches that a batch is taken in. */
  accumulate?: number;
  /** Where the loss's `left` tensors go: they stay on the device. */
  leaves?: Readonly<Record<string, VariableSet>>;
  /** Left tensors of other programs, which the loss finds among its inputs. */
  takes?: Readonly<Record<string, VariableSet>>;
}

/**
 * Runs one update; outputs `loss`, `norm` (of the gradient, before clipping) and the loss function's metrics. With
 * `outputs` only those are brought back from the device: none, and a GPU is not waited for.
 */
export type Step = Program["run"];

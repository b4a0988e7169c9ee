/** The common case of a training: one network, one loss, one update a step. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, ProgramSpec } from "../../engine/program.ts";
import type { Weights } from "../../engine/weights.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { averageDecay, rateInputs } from "./optimiser.ts";
import { type Loss, scalars } from "./plan.ts";
import { compileStep } from "./step.ts";
import { createTrained, savedState, type State, type Trained } from "./trained.ts";

export interface Training extends Trained, State {
  /** Runs step `step` and returns its loss, gradient norm and metrics, or those named in `outputs`. */
  step: (step: number, inputs: Record<string, InputArray>, options?: { outputs?: readonly string[] }) => Promise<Record<string, number>>;
}

/** Compiles the step of a network that starts from `weights`. */
export async function createTraining(options: {
  engine: Engine;
  name: string;
  weights: Weights;
  inputs: ProgramSpec["inputs"];
  loss: Loss;
  optimiser: OptimiserSettings;
  checkpointing?: boolean;
}): Promise<Training> {
  const { engine, name, weights, optimiser, ...rest } = options;
  const trained = createTrained(engine, name, weights);
  const { batch, accumulate } = optimiser;
  const update = await compileStep({ engine, name, trained, optimiser, batch, accumulate, ...rest });
  return {
    ...trained,
    step: async (step, inputs, options) =>
      scalars(await update({ ...inputs, ...rateInputs(step, optimiser), decay: averageDecay(step, optimiser.ema) }, options)),
    ...savedState({ ...trained }),
  };
}

/** What every training has in common: a network with its optimiser's state, and compiled steps of AdamW over it. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, ProgramSpec, Tensors } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import { copyWeights, type Weights, zerosLike } from "../../engine/weights.ts";
import type { Parameters } from "../../models/layers.ts";
import {
  type AdamConfig,
  adamStep,
  averageDecay,
  lossAndGradients,
  RATE_INPUTS,
  rateInputs,
  updateAverage,
} from "../../models/optimiser.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";

/** Named sets of weights: all that a checkpoint must hold. */
export type Sets = Record<string, Weights>;

/** A network in training. */
export interface Trained {
  network: VariableSet;
  /** Exponential moving average of the network: what is kept in the end. */
  average: VariableSet;
  /** Adam's moments. */
  first: VariableSet;
  second: VariableSet;
}

/** A network that starts from `weights`; `name` tells its sets from those of others. */
export function createTrained(engine: Engine, name: string, weights: Weights): Trained {
  return {
    network: engine.variables(`${name}.network`, weights),
    average: engine.variables(`${name}.average`, copyWeights(weights)),
    first: engine.variables(`${name}.first`, zerosLike(weights)),
    second: engine.variables(`${name}.second`, zerosLike(weights)),
  };
}

export type Loss = (
  parameters: Parameters,
  inputs: Record<string, Tensor>,
  others: Record<string, Tensors>,
) => { loss: Tensor; metrics: Parameters };

/** Runs one update; outputs `loss`, `norm` (of the gradient, before clipping) and the loss function's metrics. */
export type Step = (inputs: Record<string, InputArray>) => Promise<Record<string, InputArray>>;

/**
 * Compiles one AdamW update of `trained` by the gradient of `loss`. `others` are sets the loss reads and does not change.
 * The step's inputs are those declared, {@link rateInputs} and the average's `decay`.
 */
export async function compileStep(options: {
  engine: Engine;
  name: string;
  trained: Trained;
  others?: Record<string, VariableSet | ConstantSet>;
  inputs: ProgramSpec["inputs"];
  loss: Loss;
  optimiser: AdamConfig;
}): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser } = options;
  const program = await engine.compile({
    name,
    sets: { ...others, ...trained },
    inputs: { ...options.inputs, ...RATE_INPUTS, decay: { shape: [] } },
    run: (sets, inputs) => {
      const { network, average, first, second, ...read } = sets as Record<keyof Trained, Tensors> & Record<string, Tensors>;
      const result = lossAndGradients(network, (parameters) => loss(parameters, inputs, read));
      const next = adamStep({
        state: { parameters: network, first, second },
        gradients: result.gradients,
        rates: inputs as Record<keyof typeof RATE_INPUTS, Tensor>,
        config: optimiser,
      });
      return {
        outputs: { loss: result.loss, norm: next.norm, ...result.metrics },
        updates: {
          network: next.parameters,
          first: next.first,
          second: next.second,
          average: updateAverage(average, next.parameters, inputs.decay as Tensor),
        },
      };
    },
  });
  return program.run;
}

export interface Training extends Trained {
  /** Runs step `step` and returns its loss, gradient norm and metrics. */
  step: (step: number, inputs: Record<string, InputArray>) => Promise<Record<string, number>>;
  save: () => Promise<Sets>;
  load: (sets: Sets) => Promise<void>;
}

/** The common case: one network, one loss, one update a step. */
export async function createTraining(options: {
  engine: Engine;
  name: string;
  weights: Weights;
  inputs: ProgramSpec["inputs"];
  loss: Loss;
  optimiser: OptimiserSettings;
}): Promise<Training> {
  const { engine, name, weights, optimiser, ...rest } = options;
  const trained = createTrained(engine, name, weights);
  const update = await compileStep({ engine, name, trained, optimiser, ...rest });
  return {
    ...trained,
    step: async (step, inputs) =>
      scalars(await update({ ...inputs, ...rateInputs(step, optimiser), decay: averageDecay(step, optimiser.ema) })),
    ...savedState({ ...trained }),
  };
}

/** `save` and `load` over variable sets. */
export function savedState(sets: Record<string, VariableSet>): Pick<Training, "save" | "load"> {
  return {
    save: async () =>
      Object.fromEntries(
        await Promise.all(Object.entries(sets).map(async ([name, set]) => [name, await set.read()] as const)),
      ),
    load: async (saved) => {
      for (const [name, set] of Object.entries(sets)) {
        if (!saved[name]) throw new Error(`Cannot resume: the checkpoint has no set "${name}"`);
        await set.load(saved[name]);
      }
    },
  };
}

/** Scalar outputs as numbers; others are left out. */
export function scalars(outputs: Record<string, InputArray>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(outputs).flatMap(([name, values]) => (values.length === 1 ? [[name, values[0] as number]] : [])),
  );
}

/** What every training has in common: a network with its optimiser's state, and compiled steps of AdamW over it. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, Program, ProgramSpec, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import { type Weights, zerosLike } from "../../engine/weights.ts";
import type { Parameters } from "../layers.ts";
import { type AdamConfig, averageDecay, rateInputs } from "./optimiser.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { gradientsOf, initialScale, UPDATE_INPUTS, updatesOf } from "./update.ts";

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
  /** In half precision, what the loss is multiplied by, and how many updates it has been right for. */
  scaler?: VariableSet;
}

/** A network that starts from `weights`; `name` tells its sets from those of others. */
export function createTrained(engine: Engine, name: string, weights: Weights): Trained {
  return {
    network: engine.variables(`${name}.network`, weights),
    average: engine.variables(`${name}.average`, weights),
    first: engine.variables(`${name}.first`, zerosLike(weights)),
    second: engine.variables(`${name}.second`, zerosLike(weights)),
    ...(engine.precision === "half" && { scaler: engine.variables(`${name}.scaler`, initialScale()) }),
  };
}

export type Loss = (
  parameters: Parameters,
  inputs: Record<string, Tensor>,
  others: Record<string, Tensors>,
) => { loss: Tensor; metrics: Parameters };

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
}

/**
 * Runs one update; outputs `loss`, `norm` (of the gradient, before clipping) and the loss function's metrics. With
 * `outputs` only those are brought back from the device: none, and a GPU is not waited for.
 */
export type Step = Program["run"];

/**
 * Compiles one AdamW update of `trained` by the gradient of `loss`. `others` are sets the loss reads and does not change.
 * The step's inputs are those declared, {@link rateInputs} and the average's `decay`.
 *
 * With `accumulate` n the batch is taken in n micro-batches, whose gradients are averaged before the one update: the
 * memory of a batch n times smaller, and the same update up to rounding (1e-5) where the loss is a mean over rows that
 * do not look at each other. Inputs whose first dimension is `batch` are divided, the others go to each micro-batch.
 * Scalar metrics are averaged over the micro-batches, others joined along their rows.
 */
export async function compileStep(options: StepOptions): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser, batch = 1, accumulate = 1 } = options;
  if (accumulate > 1) return compileAccumulation({ ...options, batch, accumulate });
  const program = await engine.compile({
    name,
    sets: { ...others, ...trained },
    inputs: { ...options.inputs, ...UPDATE_INPUTS },
    run: (sets, inputs) => {
      const result = gradientsOf(loss, sets, inputs);
      const { norm, updates } = updatesOf(sets as never, inputs, result.gradients, optimiser);
      return { outputs: { loss: result.loss, norm, ...result.metrics }, updates };
    },
  });
  return program.run;
}

/** The step in micro-batches: one program adds up gradients, the other applies them. */
async function compileAccumulation(options: StepOptions & { batch: number; accumulate: number }): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser, batch, accumulate } = options;
  if (batch % accumulate !== 0) {
    throw new Error(
      `Cannot take a batch of ${batch} in ${accumulate} micro-batches in program "${name}": set accumulate to a divisor of batch`,
    );
  }
  const isDivided = ({ shape }: { shape: readonly number[] }): boolean => shape[0] === batch;
  const micro = Object.entries(options.inputs).map(([input, declared]) => {
    const [, ...row] = declared.shape;
    return [input, isDivided(declared) ? { ...declared, shape: [batch / accumulate, ...row] } : declared];
  });
  const sum = engine.variables(`${name}.gradients`, zerosLike(await trained.network.read()));
  const adding = await engine.compile({
    name: `${name}: micro-batch`,
    sets: { ...others, network: trained.network, ...(trained.scaler && { scaler: trained.scaler }), sum },
    inputs: { ...(Object.fromEntries(micro) as ProgramSpec["inputs"]), isFirst: { shape: [] } },
    run: ({ sum: before, ...sets }, { isFirst, ...inputs }) => {
      const { gradients, ...result } = gradientsOf(loss, sets as Record<string, Tensors>, inputs as Tensors);
      const starts = tf.greater(isFirst as Tensor, 0);
      const after = Object.entries(gradients).map(([key, gradient]) => {
        const old = (before as Tensors)[key] as Tensor;
        // Chosen, not multiplied: what an earlier step left may be infinite.
        return [key, tf.add(tf.where(starts, tf.zerosLike(old), old), tf.div(gradient, accumulate))];
      });
      return { outputs: { loss: result.loss, ...result.metrics }, updates: { sum: Object.fromEntries(after) } };
    },
  });
  const updating = await engine.compile({
    name: `${name}: update`,
    sets: { ...trained, sum },
    inputs: UPDATE_INPUTS,
    run: ({ sum: gradients, ...sets }, inputs) => {
      const { norm, updates } = updatesOf(sets as never, inputs, gradients as Tensors, optimiser);
      return { outputs: { norm }, updates };
    },
  });
  return async (inputs, { outputs } = {}) => {
    const results: Record<string, InputArray>[] = [];
    const ofUpdate = outputs?.filter((output) => output === "norm");
    const ofParts = outputs?.filter((output) => output !== "norm");
    for (let part = 0; part < accumulate; part++) {
      const feeds = Object.entries(options.inputs).map(([input, declared]) => {
        const given = inputs[input] as InputArray;
        const size = given?.length / accumulate;
        return [input, isDivided(declared) ? given?.subarray(part * size, (part + 1) * size) : given];
      });
      results.push(await adding.run({ ...Object.fromEntries(feeds), isFirst: Float32Array.of(part === 0 ? 1 : 0) }, { outputs: ofParts }));
    }
    const rates = Object.fromEntries(Object.keys(UPDATE_INPUTS).map((input) => [input, inputs[input] as InputArray]));
    return { ...joined(results), ...(await updating.run(rates, { outputs: ofUpdate })) };
  };
}

/** Outputs of micro-batches as those of the batch: the mean of scalars, the rows of others one after the other. */
function joined(results: Record<string, InputArray>[]): Record<string, InputArray> {
  const [first = {}] = results;
  return Object.fromEntries(
    Object.keys(first).map((name) => {
      const parts = results.map((result) => result[name] as Float32Array);
      const { length } = parts[0] as Float32Array;
      if (length === 1) return [name, Float32Array.of(parts.reduce((total, part) => total + (part[0] as number), 0) / parts.length)];
      const whole = new Float32Array(length * parts.length);
      parts.forEach((part, i) => whole.set(part, i * length));
      return [name, whole];
    }),
  );
}

export interface Training extends Trained {
  /** Runs step `step` and returns its loss, gradient norm and metrics, or those named in `outputs`. */
  step: (step: number, inputs: Record<string, InputArray>, options?: { outputs?: readonly string[] }) => Promise<Record<string, number>>;
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
  const { batch, accumulate } = optimiser;
  const update = await compileStep({ engine, name, trained, optimiser, batch, accumulate, ...rest });
  return {
    ...trained,
    step: async (step, inputs, options) =>
      scalars(await update({ ...inputs, ...rateInputs(step, optimiser), decay: averageDecay(step, optimiser.ema) }, options)),
    ...savedState({ ...trained }),
  };
}

/** `save` and `load` over variable sets. */
export function savedState(sets: Readonly<Record<string, VariableSet>>): Pick<Training, "save" | "load"> {
  return {
    save: async () =>
      Object.fromEntries(await Promise.all(Object.entries(sets).map(async ([name, set]) => [name, await set.read()] as const))),
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

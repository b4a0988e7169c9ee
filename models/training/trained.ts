/** A network in training: its parameters with the optimiser's state, named sets that a checkpoint must hold. */
import type { Engine } from "../../engine/engine.ts";
import type { VariableSet } from "../../engine/variables.ts";
import { type Weights, zerosLike } from "../../engine/weights.ts";

/** Named sets of weights: all that a checkpoint must hold. */
export type StateSets = Record<string, Weights>;

/** A network in training. */
export interface Trained {
  network: VariableSet;
  /** Exponential moving average of the network, where one is kept: what is written in the end. */
  average?: VariableSet;
  /** Adam's moments. */
  first: VariableSet;
  second: VariableSet;
  /** In half precision, what the loss is multiplied by, and how many updates it has been right for. */
  scaler?: VariableSet;
}

/** A network that starts from `weights`; `name` tells its sets from those of others. `average` false keeps no EMA. */
export function createTrained(engine: Engine, name: string, weights: Weights, { average = true } = {}): Trained {
  return {
    network: engine.variables(`${name}.network`, weights),
    ...(average && { average: engine.variables(`${name}.average`, weights) }),
    first: engine.variables(`${name}.first`, zerosLike(weights)),
    second: engine.variables(`${name}.second`, zerosLike(weights)),
    ...(engine.precision === "half" && { scaler: engine.variables(`${name}.scaler`, initialScale()) }),
  };
}

/** Reads and loads the values of variable sets by name. */
export interface State {
  save: () => Promise<StateSets>;
  /** Throws an Error where a set is missing. */
  load: (sets: StateSets) => Promise<void>;
}

/** `save` and `load` over variable sets. */
export function savedState(sets: Readonly<Record<string, VariableSet>>): State {
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

const FIRST_SCALE = 2 ** 15;

/** The scale that a training starts with. */
const initialScale = (): Weights => ({
  scale: { shape: [], data: Float32Array.of(FIRST_SCALE) },
  streak: { shape: [], data: new Float32Array(1) },
});

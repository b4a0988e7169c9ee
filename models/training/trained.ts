/** A network in training: its parameters with the optimiser's state, named sets that a checkpoint must hold. */
import type { Engine } from "../../engine/engine.ts";
import type { VariableSet } from "../../engine/variables.ts";
import { layoutDifferences, type Weights, zerosLike } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { listed } from "../weights/load.ts";
import { initialScale } from "./scale.ts";

/** Named sets of weights: all that a checkpoint must hold. */
export type StateSets = Record<string, Weights>;

/** A network in training. */
export interface Trained {
  network: VariableSet;
  /** Exponential moving average of the network, where one is kept: what is written in the end. */
  average?: VariableSet;
  /** A second one, which losses read (Polyak averaging, Grill et al. 2020; consistency models' theta minus). */
  target?: VariableSet;
  /** Adam's moments. */
  first: VariableSet;
  second: VariableSet;
  /** In half precision, what the loss is multiplied by, and how many updates it has been right for. */
  scaler?: VariableSet;
}

/** A network that starts from `weights`; `name` tells its sets from others'. `average` false keeps no EMA, `target` a second one. */
export function createTrained(engine: Engine, name: string, weights: Weights, { average = true, target = false } = {}): Trained {
  return {
    network: engine.variables(`${name}.network`, weights),
    ...(average && { average: engine.variables(`${name}.average`, weights) }),
    ...(target && { target: engine.variables(`${name}.target`, weights) }),
    first: engine.variables(`${name}.first`, zerosLike(weights)),
    second: engine.variables(`${name}.second`, zerosLike(weights)),
    ...(engine.precision === "half" && { scaler: engine.variables(`${name}.scaler`, initialScale()) }),
  };
}

/** Reads and loads the values of variable sets by name. */
export interface State {
  save: () => Promise<StateSets>;
  /** Throws a Failure where sets, names or shapes are not exactly the training's own. */
  load: (sets: StateSets) => Promise<void>;
}

/** `save` and `load` over variable sets. */
export function savedState(sets: Readonly<Record<string, VariableSet>>): State {
  return {
    save: async () =>
      Object.fromEntries(await Promise.all(Object.entries(sets).map(async ([name, set]) => [name, await set.read()] as const))),
    load: async (saved) => {
      for (const name of Object.keys(saved)) {
        // What half precision adds is left out where training goes on in single precision.
        if (!Object.hasOwn(sets, name) && !name.endsWith(".scaler")) throw unlike(`a set "${name}", which is not trained`);
      }
      for (const [name, set] of Object.entries(sets)) {
        if (!Object.hasOwn(saved, name)) throw unlike(`no set "${name}"`);
        const problems = layoutDifferences(set.variables, saved[name] as Weights);
        if (problems.length > 0) throw unlike(`a set "${name}" of another network (${listed(problems)})`);
      }
      for (const [name, set] of Object.entries(sets)) await set.load(saved[name] as Weights);
    },
  };
}

function unlike(what: string): Failure {
  return new Failure(
    `Cannot go on from the checkpoint: it holds ${what}. Choose another --out, or remove the folder to start from step 0.`,
  );
}

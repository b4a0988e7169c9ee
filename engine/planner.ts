/**
 * An engine that computes nothing: it traces programs over sets of which shapes alone are known, and tells what a run of each
 * would cost. So a training can be planned for weights that are in no memory.
 */
import type { Cost } from "./cost.ts";
import type { Engine } from "./engine.ts";
import { BAKED_BYTES, type Placed } from "./frozen.ts";
import { traitsOf } from "./graph.ts";
import type { Precision } from "./precision.ts";
import type { Device } from "./session.ts";
import { traceProgram } from "./trace.ts";
import type { ConstantSet, VariableSet } from "./variables.ts";
import { countWeights, shapesAlone } from "./weights.ts";

export interface Planner {
  engine: Engine;
  /** Of every program that was compiled, in that order. */
  costs: readonly Cost[];
  /** Every set of variables that was made. */
  sets: readonly VariableSet[];
}

/**
 * A planner of programs for a device. Its programs cannot be run: that throws an Error. Variables are read back without elements.
 *
 * @example
 * import { createPlanner } from "./planner.ts";
 * import { tf } from "onestep/engine";
 * const { engine, costs } = createPlanner();
 * const inputs = { x: { shape: [2, 3] }, y: { shape: [3, 4] } };
 * await engine.compile({ name: "product", sets: {}, inputs, run: (_, { x, y }) => ({ outputs: { z: tf.matMul(x!, y!) } }) });
 * assert.equal(costs[0]?.products, 2 * 2 * 3 * 4);
 */
export function createPlanner({ device = "cpu", precision = "single" }: { device?: Device; precision?: Precision } = {}): Planner {
  const costs: Cost[] = [];
  const sets: VariableSet[] = [];
  const compile: Engine["compile"] = async (spec) => {
    const frozen = Object.values(spec.sets).filter((set) => set.kind === "constants");
    const placed = new Map(frozen.map((set) => [set, outside(set, device)]));
    costs.push(traceProgram(spec, { frozen: placed, ...traitsOf(device) }).cost());
    const run = async (): Promise<never> => {
      throw new Error(`Cannot run program "${spec.name}": it was planned, not compiled. Make it with createEngine.`);
    };
    return { name: spec.name, nodes: costs.at(-1)?.nodes ?? 0, notes: [], run };
  };
  const engine: Engine = {
    device,
    precision,
    isSeparate: device === "webgpu",
    variables: (name, weights) => {
      const variables = Object.fromEntries(Object.entries(weights).map(([key, { shape }]) => [key, { shape: [...shape] }]));
      const set: VariableSet = {
        kind: "variables",
        name,
        device,
        variables,
        read: async () => shapesAlone(variables),
        load: async () => {},
      };
      sets.push(set);
      return set;
    },
    constants: (name, weights) => ({ kind: "constants", name, weights }),
    compile,
    eager: ({ name }) => {
      throw new Error(`Cannot run program "${name}": the engine only plans. Make it with createEngine.`);
    },
    dispose: async () => {},
  };
  return { engine, costs, sets };
}

/** Every tensor of a set as an input of the program: nobody asks for its elements. */
function outside(set: ConstantSet, device: Device): Record<string, Placed> {
  const unfolded = device !== "webgpu" && 4 * countWeights(set.weights) >= BAKED_BYTES; // smaller sets are baked, and folded
  return Object.fromEntries(
    Object.entries(set.weights).map(([key, { shape }]) => [key, { place: "input" as const, slot: { shape }, unfolded }]),
  );
}

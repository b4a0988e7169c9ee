/**
 * Named sets of variables. Each variable owns two buffers: a program reads one and writes the other, then they change
 * places, so that a step allocates nothing. (Writing in place is not safe: operators may read after they write.)
 */
import type { Weights } from "./weights.ts";

export interface Variable {
  shape: number[];
  /** What programs read. */
  data: Float32Array;
  /** What the next update is written to. */
  spare: Float32Array;
}

export interface VariableSet {
  readonly kind: "variables";
  readonly name: string;
  readonly variables: Record<string, Variable>;
  /** A copy of every value. */
  read: () => Promise<Weights>;
  /** Replaces every value; names and shapes must be the set's own. */
  load: (weights: Weights) => Promise<void>;
}

export interface ConstantSet {
  readonly kind: "constants";
  readonly name: string;
  readonly weights: Weights;
}

/** A set of variables that starts with a copy of `weights`. */
export function createVariables(name: string, weights: Weights): VariableSet {
  const variables: Record<string, Variable> = {};
  for (const [key, { shape, data }] of Object.entries(weights)) {
    variables[key] = { shape: [...shape], data: Float32Array.from(data), spare: new Float32Array(data.length) };
  }
  return {
    kind: "variables",
    name,
    variables,
    read: async () =>
      Object.fromEntries(Object.entries(variables).map(([key, v]) => [key, { shape: [...v.shape], data: v.data.slice() }])),
    load: async (values) => {
      for (const [key, variable] of Object.entries(variables)) {
        const value = values[key];
        if (!value) throw new Error(`Cannot load variables "${name}": "${key}" is missing`);
        if (value.data.length !== variable.data.length) {
          throw new Error(`Cannot load variable "${name}/${key}" of shape [${variable.shape}] from shape [${value.shape}]`);
        }
        variable.data.set(value.data);
      }
    },
  };
}

/**
 * Runs programs directly on a TensorFlow.js backend, one operation at a time: for debugging, as the reference the
 * compiled form is tested against, and on the user's own TensorFlow.
 */
import { checkInput, checkUpdate, type InputArray, type Program, type ProgramSpec, type Sets, type Tensors } from "./program.ts";
import { tf, type Tensor } from "./tfjs.ts";
import { checkValues, type InOrder, type Variable, type VariableSet } from "./variables.ts";
import { inMemory, type Weights } from "./weights.ts";

/** A variable whose value is a tensor of the backend, from its first use on. */
interface Held extends Variable {
  initial?: Float32Array;
  tensor?: Tensor;
}

/** A set of variables that live on a TensorFlow.js backend as tensors between runs. */
export function createEagerVariables(
  name: string,
  weights: Weights,
  options: { device: string; backend: string; inOrder: InOrder },
): VariableSet {
  const { device, backend, inOrder } = options;
  const variables: Record<string, Held> = {};
  for (const [key, { shape, data }] of Object.entries(weights)) variables[key] = { shape: [...shape], initial: data.slice() };
  return {
    kind: "variables",
    name,
    device,
    variables,
    read: () =>
      inOrder(async () => {
        const values: Weights = {};
        for (const [key, variable] of Object.entries(variables)) {
          const data = variable.initial ?? (await (variable.tensor as Tensor).data());
          values[key] = { shape: [...variable.shape], data: Float32Array.from(data) };
        }
        return values;
      }),
    load: (values) =>
      inOrder(async () => {
        checkValues(name, variables, values);
        await choose(backend);
        for (const [key, variable] of Object.entries(variables)) {
          replace(variable, tf.tensor((values[key] as { data: Float32Array }).data.slice(), [...variable.shape], "float32"));
        }
      }),
  };
}

const heldBy = (set: Sets[string]): Held[] => Object.values((set as VariableSet).variables);

/** Frees the tensors of an engine's set. */
export function disposeEagerVariables(set: VariableSet): void {
  for (const { tensor } of heldBy(set)) tensor?.dispose();
}

function replace(variable: Held, tensor: Tensor): void {
  variable.tensor?.dispose();
  variable.initial = undefined;
  variable.tensor = tf.keep(tensor);
}

/** Makes `backend` the one that TensorFlow.js runs on. */
async function choose(backend: string): Promise<void> {
  if (tf.getBackend() !== backend && !(await tf.setBackend(backend))) {
    throw new Error(`Cannot run on TensorFlow.js's backend "${backend}": it does not start`);
  }
}

/** A program that runs its function as it is, over sets of the device given or, by reading and loading them, of any other. */
export function eagerProgram<S extends Sets>(
  spec: ProgramSpec<S>,
  options: { device: string; backend: string; inOrder: InOrder; notes?: readonly string[] },
): Program {
  const { device, backend, inOrder, notes = [] } = options;
  const isHeld = (set: Sets[string]): boolean => set.kind === "variables" && set.device === device;

  const execute = async (inputs: Record<string, InputArray>, wanted?: readonly string[]): Promise<Record<string, InputArray>> => {
    for (const name of Object.keys(spec.inputs)) checkInput(spec, name, inputs[name]);
    const copies = new Map<Sets[string], Weights>();
    for (const set of Object.values(spec.sets)) {
      if (set.kind === "constants") copies.set(set, await inMemory(set.weights));
      else if (!isHeld(set)) copies.set(set, await set.read());
    }
    await choose(backend);
    for (const set of Object.values(spec.sets)) {
      for (const variable of isHeld(set) ? heldBy(set) : []) {
        if (variable.initial) replace(variable, tf.tensor(variable.initial, [...variable.shape], "float32"));
      }
    }
    const { outputs, updates } = tf.tidy(() => {
      const sets = Object.entries(spec.sets).map(([name, set]) => {
        const tensors = isHeld(set)
          ? Object.entries((set as VariableSet).variables as Record<string, Held>).map(
              ([key, { tensor }]) => [key, tensor as Tensor] as const,
            )
          : Object.entries(copies.get(set) as Weights).map(([key, { data, shape }]) => [key, tf.tensor(data, [...shape])] as const);
        return [name, Object.fromEntries(tensors)];
      });
      const given: Tensors = {};
      for (const [name, { shape, dtype }] of Object.entries(spec.inputs)) {
        given[name] = tf.tensor(inputs[name] as InputArray, [...shape], dtype ?? "float32");
      }
      const made = spec.run(Object.fromEntries(sets) as { [K in keyof S]: Tensors }, given);
      const clones = (tensors: Tensors): Tensors => Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, tf.clone(t)]));
      for (const [set, values] of Object.entries(made.updates ?? {})) {
        for (const [key, { shape }] of Object.entries(values as Tensors)) checkUpdate(spec, set, key, shape);
      }
      return {
        outputs: clones(made.outputs), // the same tensor may be given twice, or be a variable
        updates: Object.fromEntries(Object.entries(made.updates ?? {}).map(([set, values]) => [set, clones(values as Tensors)])),
      };
    });
    for (const [name, values] of Object.entries(updates)) {
      const set = spec.sets[name] as VariableSet;
      if (isHeld(set)) {
        for (const [key, tensor] of Object.entries(values)) replace((set.variables as Record<string, Held>)[key] as Held, tensor);
        continue;
      }
      const next = { ...(copies.get(set) as Weights) };
      for (const [key, tensor] of Object.entries(values)) {
        next[key] = { shape: [...tensor.shape], data: (await tensor.data()) as Float32Array };
        tensor.dispose();
      }
      await set.load(next);
    }
    const results: Record<string, InputArray> = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      if (!wanted || wanted.includes(name)) results[name] = (await tensor.data()).slice() as InputArray;
      tensor.dispose();
    }
    const missing = wanted?.find((name) => !(name in outputs));
    if (missing !== undefined) throw new Error(`Cannot run program "${spec.name}": it has no output "${missing}"`);
    return results;
  };
  return { name: spec.name, nodes: 0, notes, run: (inputs, { outputs } = {}) => inOrder(() => execute(inputs, outputs)) };
}

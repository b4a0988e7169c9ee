/** What a program is: a function of tensors over named sets of variables and inputs. */
import type { Tensor } from "./tfjs.ts";
import type { ConstantSet, VariableSet } from "./variables.ts";
import { elements } from "./weights.ts";

export type Tensors = Record<string, Tensor>;
export type Sets = Record<string, VariableSet | ConstantSet>;
export type InputArray = Float32Array | Int32Array;

export interface ProgramSpec<S extends Sets = Sets> {
  name: string;
  sets: S;
  inputs: Record<string, { shape: readonly number[]; dtype?: "float32" | "int32" }>;
  /** Whether gradients compute blocks once more instead of keeping what these made (see checkpointing.ts): less memory, more time. */
  checkpointing?: boolean;
  /** Tensors in, tensors out. `updates` names the variables that get new values. */
  run: (sets: { [K in keyof S]: Tensors }, inputs: Tensors) => { outputs: Tensors; updates?: { [K in keyof S]?: Tensors } };
}

export interface Program {
  name: string;
  /** Nodes of the traced graph; 0 where none is made. */
  nodes: number;
  /** What the user should know of how it was compiled: products that could not be taken in half precision, say. */
  notes: readonly string[];
  /**
   * Runs once. Inputs by name, as flat arrays of the declared shapes; outputs likewise. Of the outputs only those named
   * in `outputs` are brought back from the device, all unless told. Runs of one engine happen in the order of the calls.
   */
  run: (inputs: Record<string, InputArray>, options?: { outputs?: readonly string[] }) => Promise<Record<string, InputArray>>;
}

/** What a program declares, whatever its sets are called. */
export type Declared = Pick<ProgramSpec, "name" | "sets" | "inputs">;

/** Throws unless the program may give the variable a value of the shape. */
export function checkUpdate(spec: Declared, set: string, key: string, shape: readonly number[]): void {
  const target = spec.sets[set];
  const variable = target?.kind === "variables" ? target.variables[key] : undefined;
  if (!variable) throw new Error(`Cannot compile program "${spec.name}": it updates "${set}/${key}", which is not a variable`);
  if (String(variable.shape) !== String(shape)) {
    throw new Error(`Cannot compile program "${spec.name}": it updates "${set}/${key}" of shape [${variable.shape}] with shape [${shape}]`);
  }
}

/** The elements given for an input of a program; throws, naming both, unless they are of its type and number. */
export function checkInput(spec: Declared, name: string, data: InputArray | undefined): InputArray {
  const { shape, dtype = "float32" } = spec.inputs[name] as ProgramSpec["inputs"][string];
  const place = `Cannot run program "${spec.name}": input "${name}" of shape [${shape}]`;
  if (!data) throw new Error(`${place} is missing`);
  if (data.length !== elements(shape)) throw new Error(`${place} got ${data.length} elements`);
  const wanted = dtype === "int32" ? Int32Array : Float32Array;
  if (data instanceof wanted) return data;
  throw new Error(`${place} is ${dtype} and got ${(data as object).constructor.name}. Give it as ${wanted.name}.`);
}

/**
 * Named sets of variables, and where a device keeps them. On the CPU each variable owns two buffers: a program reads one
 * and writes the other, then they change places, so that a step allocates nothing. (Writing in place is not safe:
 * operators may read after they write.) On WebGPU the value stays in a buffer of the device; the runtime makes a new one
 * for each update and the old one is freed.
 */
import type { ort } from "./session.ts";
import { type FrozenWeights, layoutDifferences, type Weights } from "./weights.ts";

export interface Variable {
  readonly shape: readonly number[];
}

export interface VariableSet {
  readonly kind: "variables";
  readonly name: string;
  /** The device of the engine that holds the values; only its programs can use the set. */
  readonly device: string;
  readonly variables: Readonly<Record<string, Variable>>;
  /** A copy of every value, after the runs and loads asked for before. */
  read: () => Promise<Weights>;
  /** Replaces every value; names and shapes must be the set's own. */
  load: (weights: Weights) => Promise<void>;
}

export interface ConstantSet {
  readonly kind: "constants";
  readonly name: string;
  readonly weights: FrozenWeights;
}

/** How a device keeps tensors between runs. */
export interface Memory {
  readonly device: string;
  /** Whether tensors live in buffers that JavaScript cannot read. */
  readonly isSeparate: boolean;
  /** A tensor on the device of these elements, which from then on are the memory's own. */
  upload: (data: Float32Array, shape: readonly number[]) => Promise<ort.Tensor>;
  /** A copy of the tensor's elements. */
  download: (tensor: ort.Tensor) => Promise<Float32Array | Int32Array>;
  /** A buffer for the next value of a variable; undefined where the runtime makes one in each run. */
  spare: (shape: readonly number[]) => ort.Tensor | undefined;
  free: (tensor: ort.Tensor) => void;
  dispose: () => Promise<void>;
}

/** A variable or shared constant as a session sees it. */
export interface Slot extends Variable {
  /** The first value, or what reads it, until it is uploaded. */
  initial?: Float32Array | (() => Promise<Float32Array>);
  value?: ort.Tensor;
  spare?: ort.Tensor;
}

/** Runs tasks one after the other, in the order in which they were asked for. */
export type InOrder = <T>(task: () => Promise<T>) => Promise<T>;

/**
 * A queue. A task that fails does not keep the next from starting.
 *
 * @example
 * import { createOrder } from "./variables.ts";
 * const inOrder = createOrder();
 * const seen: string[] = [];
 * const slow = inOrder(() => new Promise<void>((resolve) => setTimeout(resolve, 5)).then(() => void seen.push("first")));
 * await Promise.all([slow, inOrder(async () => void seen.push("second"))]);
 * assert.deepEqual(seen, ["first", "second"]);
 */
export function createOrder(): InOrder {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task);
    last = next.catch(() => {});
    return next;
  };
}

/** The present value of a slot, on the device. */
export async function present(slot: Slot, memory: Memory): Promise<ort.Tensor> {
  if (!slot.value) {
    const initial = typeof slot.initial === "function" ? await slot.initial() : (slot.initial as Float32Array);
    slot.value = await memory.upload(initial, slot.shape);
    slot.initial = undefined;
  }
  return slot.value;
}

/** Takes what a run wrote as the slot's value. */
export function adopt(slot: Slot, written: ort.Tensor, memory: Memory): void {
  const old = slot.value as ort.Tensor;
  slot.value = written;
  if (slot.spare) slot.spare = old;
  else memory.free(old);
}

/** Frees what slots hold on the device. */
export function freeSlots(slots: Readonly<Record<string, Slot>>, memory: Memory): void {
  for (const slot of Object.values(slots)) {
    if (slot.value) memory.free(slot.value);
    slot.value = undefined;
  }
}

/** A set of variables in a device's memory that starts with a copy of `weights`. */
export function createVariables(name: string, weights: Weights, options: { memory: Memory; inOrder: InOrder }): VariableSet {
  const { memory, inOrder } = options;
  const variables: Record<string, Slot> = {};
  for (const [key, { shape, data }] of Object.entries(weights)) {
    variables[key] = { shape: [...shape], initial: data.slice() };
  }
  return {
    kind: "variables",
    name,
    device: memory.device,
    variables,
    read: () =>
      inOrder(async () => {
        const values: Weights = {};
        for (const [key, slot] of Object.entries(variables)) {
          values[key] = { shape: [...slot.shape], data: (await memory.download(await present(slot, memory))) as Float32Array };
        }
        return values;
      }),
    load: (values) =>
      inOrder(async () => {
        checkValues(name, variables, values);
        for (const [key, slot] of Object.entries(variables)) {
          const old = slot.value;
          slot.value = await memory.upload((values[key] as { data: Float32Array }).data.slice(), slot.shape);
          slot.initial = undefined;
          if (old) memory.free(old);
        }
      }),
  };
}

/** Throws unless `values` holds the variables of the set `name`, no more and no fewer, in their shapes. */
export function checkValues(name: string, variables: Readonly<Record<string, Variable>>, values: Weights): void {
  const problems = layoutDifferences(variables, values);
  if (problems.length === 0) return;
  const more = problems.length > 1 ? ` and ${problems.length - 1} more` : "";
  throw new Error(`Cannot load variables "${name}": ${problems[0]}${more}`);
}

/**
 * The graph a trace records: nodes named after ONNX operators over named values. Simplifications happen as nodes are
 * added, so no pass has to find them again: a repeated node is shared, a broadcast is kept virtual until an operator
 * needs its elements, and chains of reshapes or transposes collapse.
 */
import { elements } from "./weights.ts";

export type DType = "float32" | "int32" | "bool" | "int64";
export type Values = Float32Array | Int32Array | Uint8Array | BigInt64Array;
export type Attribute = number | string | readonly number[] | { float: number };

export interface Node {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

/**
 * A value during tracing. Exactly one of three: `name` is set (a node's output or an input), or `constant` holds its
 * elements, or `broadcastOf` is a smaller value it repeats.
 */
export interface Value {
  shape: number[];
  dtype: DType;
  name?: string;
  constant?: Values;
  broadcastOf?: Value;
  /** It follows from frozen weights outside of the model alone, so that nobody folds it: it is computed in every run. */
  unfolded?: boolean;
}

export interface Constant {
  name: string;
  shape: number[];
  dtype: DType;
  data: Values;
}

/** What the operators of a device can do. */
export interface Traits {
  /** Products that transpose their operands as they read them: WebGPU lacks FusedMatMul, which would run on the CPU. */
  fusesProducts: boolean;
  /** WebGPU has no Slice of whole numbers and no ArgMax, which would run on the CPU: they are made of what it has. */
  lacksIndexing?: boolean;
  /**
   * Plain operators, the same whatever the batch, in place of forms that are chosen by shape for ONNX Runtime on the CPU (Winograd's
   * convolutions, products taken the other way round): for a model that other runtimes run (portable.ts).
   */
  isPortable?: boolean;
}

/** The traits of a device by its name. */
export const traitsOf = (device: string): Traits => ({ fusesProducts: device !== "webgpu", lacksIndexing: device === "webgpu" });

export interface Graph extends Required<Traits> {
  nodes: Node[];
  constants: Constant[];
  /** Adds a node with one output. A node equal to an earlier one is not added again. */
  add: (op: string, inputs: (Value | string)[], shape: number[], dtype: DType, attributes?: Node["attributes"]) => Value;
  /** Adds a node with several outputs. */
  addMany: (op: string, inputs: (Value | string)[], outputs: Pick<Value, "shape" | "dtype">[], attributes?: Node["attributes"]) => Value[];
  /** The name of a value, after recording whatever makes its elements. */
  nameOf: (value: Value) => string;
  /** An int64 vector, the form in which ONNX wants shapes, axes and offsets. */
  integers: (values: readonly number[]) => string;
  /** An int32 constant that operators look elements up with. */
  indices: (shape: readonly number[], values: readonly number[]) => string;
  /** A float scalar. */
  scalar: (value: number, dtype?: DType) => Value;
  /** The bytes that the value called `name` takes, where a node makes it; else 0. */
  bytesOf: (name: string) => number;
  /** The node that made the value called `name`, if a node did. */
  producer: (name: string) => { node: Node; inputs: (Value | string)[] } | undefined;
}

/** Whether two shapes are equal, side by side. */
export const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

const BYTES: Record<DType, number> = { float32: 4, int32: 4, bool: 1, int64: 8 };

/** Elements of a constant in the layout ONNX stores for `dtype`. */
export function toStored(values: ArrayLike<number>, dtype: DType): Values {
  if (dtype === "int32") return Int32Array.from(values);
  if (dtype === "bool") return Uint8Array.from(values);
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/** Constants up to this size are compared by content, so that equal ones are one. */
const SHARED_BYTES = 65536;

/** An empty graph for a device with these traits. */
export function createGraph(traits: Traits): Graph {
  const nodes: Node[] = [];
  const constants: Constant[] = [];
  const known = new Map<string, Value[]>(); // node key -> its outputs, so that equal nodes are shared
  const sizes = new Map<string, number>();
  const producers = new Map<string, { node: Node; inputs: (Value | string)[] }>();
  let counter = 0;

  const constant = (key: string, shape: number[], dtype: DType, data: Values): Value => {
    const shared = known.get(key)?.[0];
    if (shared) return shared;
    const value: Value = { shape, dtype, name: `c${counter++}` };
    constants.push({ name: value.name as string, shape, dtype, data });
    known.set(key, [value]);
    return value;
  };

  const nameOf = (value: Value): string => {
    if (value.name) return value.name;
    if (value.broadcastOf) {
      const base = value.broadcastOf;
      value.name = add("Expand", [base, integers(value.shape)], value.shape, value.dtype).name as string;
      return value.name;
    }
    const data = value.constant as Values;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const content = bytes.length <= SHARED_BYTES ? bytes.toString("latin1") : `#${counter}`;
    const key = `constant ${value.dtype} ${value.shape} ${content}`;
    value.name = constant(key, value.shape, value.dtype, data).name as string;
    return value.name;
  };

  const addMany: Graph["addMany"] = (op, inputs, outputs, attributes = {}) => {
    const names = inputs.map((input) => (typeof input === "string" ? input : nameOf(input)));
    const key = `${op}(${names.join()})${JSON.stringify(attributes)}`;
    const shared = known.get(key);
    if (shared) return outputs.map(({ shape }, i) => ({ ...(shared[i] as Value), shape }));
    const isFixed = (input: Value | string): boolean =>
      typeof input === "string" || input.unfolded || input.constant !== undefined || input.broadcastOf?.constant !== undefined;
    const unfolded = inputs.some((input) => typeof input !== "string" && input.unfolded) && inputs.every(isFixed);
    const values = outputs.map(({ shape, dtype }): Value => ({ shape, dtype, name: `v${counter++}`, ...(unfolded && { unfolded }) }));
    for (const { name, shape, dtype } of values) sizes.set(name as string, elements(shape) * BYTES[dtype]);
    const node = { op, inputs: names, outputs: values.map(({ name }) => name as string), attributes };
    nodes.push(node);
    for (const output of node.outputs) producers.set(output, { node, inputs });
    known.set(key, values);
    return values;
  };

  const add: Graph["add"] = (op, inputs, shape, dtype, attributes) => addMany(op, inputs, [{ shape, dtype }], attributes)[0] as Value;

  const integers = (values: readonly number[]): string =>
    constant(`integers ${values}`, [values.length], "int64", BigInt64Array.from(values, BigInt)).name as string;

  const indices: Graph["indices"] = (shape, values) =>
    constant(`indices ${shape}: ${values}`, [...shape], "int32", Int32Array.from(values)).name as string;

  const scalar: Graph["scalar"] = (value, dtype = "float32") => ({
    shape: [],
    dtype,
    constant: toStored([value], dtype),
  });

  const bytesOf = (name: string): number => sizes.get(name) ?? 0;
  return {
    isPortable: false,
    lacksIndexing: false,
    ...traits,
    nodes,
    constants,
    add,
    addMany,
    nameOf,
    integers,
    indices,
    scalar,
    bytesOf,
    producer: (name) => producers.get(name),
  };
}

/** The nodes and constants that `outputs` depend on, in order. */
export function reachable(graph: Graph, outputs: string[]): { nodes: Node[]; constants: Constant[] } {
  const needed = new Set(outputs);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    for (const input of node.inputs) needed.add(input);
    nodes.push(node);
  }
  return { nodes: nodes.reverse(), constants: graph.constants.filter(({ name }) => needed.has(name)) };
}

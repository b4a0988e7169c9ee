/** What a program is: a function of tensors over named sets of variables and inputs, and its trace. */
import "./kernels/elementwise.ts";
import "./kernels/shape.ts";
import "./kernels/reduction.ts";
import "./kernels/matrix.ts";
import "./kernels/convolution.ts";
import "./kernels/indexing.ts";
import "./kernels/normalisation.ts";
import "./gradients.ts";
import { constantTensor, placeholder, record, valueOf } from "./backend.ts";
import { reachable } from "./graph.ts";
import { encodeModel, type Port } from "./onnx.ts";
import type { Tensor } from "./tfjs.ts";
import type { ConstantSet, VariableSet } from "./variables.ts";

export type Tensors = Record<string, Tensor>;
export type Sets = Record<string, VariableSet | ConstantSet>;
export type InputArray = Float32Array | Int32Array;

export interface ProgramSpec<S extends Sets = Sets> {
  name: string;
  sets: S;
  inputs: Record<string, { shape: readonly number[]; dtype?: "float32" | "int32" }>;
  /** Tensors in, tensors out. `updates` names the variables that get new values. */
  run: (
    sets: { [K in keyof S]: Tensors },
    inputs: Tensors,
  ) => { outputs: Tensors; updates?: { [K in keyof S]?: Tensors } };
}

export interface Trace {
  model: Uint8Array;
  inputs: string[];
  /** Variables the model reads: port name -> where its value lives. */
  reads: { port: string; set: VariableSet; key: string }[];
  writes: { port: string; set: VariableSet; key: string; shape: number[] }[];
  outputs: Port[];
  nodes: number;
}

/** Traces a program into an ONNX model. Inputs and variables that nothing depends on are left out of it. */
export function traceProgram<S extends Sets>(spec: ProgramSpec<S>): Trace {
  const { graph, result } = record(spec.name, () => {
    const sets = Object.fromEntries(Object.entries(spec.sets).map(([name, set]) => [name, setTensors(name, set)]));
    const inputs = Object.fromEntries(
      Object.entries(spec.inputs).map(([name, { shape, dtype }]) => [name, placeholder(`in/${name}`, shape, dtype ?? "float32")]),
    );
    const { outputs, updates = {} } = spec.run(sets as { [K in keyof S]: Tensors }, inputs);
    return {
      outputs: Object.entries(outputs).map(([name, tensor]) => ({ name, value: valueOf(tensor) })),
      updates: Object.entries(updates).flatMap(([set, tensors]) =>
        Object.entries(tensors as Tensors).map(([key, tensor]) => ({ set, key, value: valueOf(tensor) })),
      ),
    };
  });

  const ports: Port[] = [];
  const expose = (name: string, value: ReturnType<typeof valueOf>): string => {
    const port = `out/${name}`;
    graph.nodes.push({ op: "Identity", inputs: [graph.nameOf(value)], outputs: [port], attributes: {} });
    ports.push({ name: port, shape: value.shape, dtype: value.dtype });
    return port;
  };
  for (const { name, value } of result.outputs) expose(name, value);
  const outputs = [...ports];
  const writes = result.updates.map(({ set, key, value }) => {
    const target = spec.sets[set];
    const variable = target?.kind === "variables" ? target.variables[key] : undefined;
    if (!variable) throw new Error(`Cannot compile program "${spec.name}": it updates "${set}/${key}", which is not a variable`);
    if (String(variable.shape) !== String(value.shape)) {
      throw new Error(`Cannot compile program "${spec.name}": it updates "${set}/${key}" of shape [${variable.shape}] with shape [${value.shape}]`);
    }
    return { port: expose(`${set}/${key}`, value), set: target as VariableSet, key, shape: value.shape };
  });

  const { nodes, constants } = reachable(graph, ports.map(({ name }) => name));
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const inputs = Object.entries(spec.inputs)
    .map(([name, { shape, dtype }]): Port => ({ name: `in/${name}`, shape, dtype: dtype ?? "float32" }))
    .filter(({ name }) => used.has(name));
  const reads = Object.entries(spec.sets).flatMap(([name, set]) =>
    set.kind === "constants"
      ? []
      : Object.keys(set.variables)
          .map((key) => ({ port: `${name}/${key}`, set, key }))
          .filter(({ port }) => used.has(port)),
  );
  const variablePorts = reads.map(({ port, set, key }): Port => ({ name: port, shape: set.variables[key]?.shape ?? [], dtype: "float32" }));
  const model = encodeModel({ inputs: [...inputs, ...variablePorts], outputs: ports, nodes, constants });
  return { model, inputs: inputs.map(({ name }) => name.slice("in/".length)), reads, writes, outputs, nodes: nodes.length };
}

function setTensors(name: string, set: VariableSet | ConstantSet): Tensors {
  const tensors: Tensors = {};
  if (set.kind === "constants") {
    for (const [key, { shape, data }] of Object.entries(set.weights)) tensors[key] = constantTensor(data, shape, "float32");
  } else {
    for (const [key, { shape }] of Object.entries(set.variables)) tensors[key] = placeholder(`${name}/${key}`, shape, "float32");
  }
  return tensors;
}

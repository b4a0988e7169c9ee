/** The trace of a program: its function called once on the recording backend, as an ONNX model. */
import "./translations.ts";
import { constantTensor, placeholder, record, valueOf } from "./backend.ts";
import { checkpointed, originalName } from "./checkpointing.ts";
import { type Cost, costOf } from "./cost.ts";
import { type Footprint, footprintOf } from "./footprint.ts";
import type { Placed } from "./frozen.ts";
import { type Node, reachable, type Traits } from "./graph.ts";
import { mappedTensors } from "./mapped.ts";
import { encodeModel, type Port } from "./onnx.ts";
import { placesOf } from "./places.ts";
import { halveProducts, type Product, productOf } from "./precision.ts";
import { checkUpdate, type ProgramSpec, type Sets, type Tensors } from "./program.ts";
import { encodedNode, rewriteNodes } from "./rewriting.ts";
import type { Tensor } from "./tfjs.ts";
import type { ConstantSet, VariableSet } from "./variables.ts";
import { elements } from "./weights.ts";

export interface Trace {
  model: Uint8Array;
  inputs: string[];
  /** The folder below which the files of the model's mapped tensors lie; undefined where it has none. */
  folder?: string;
  /** Variables the model reads: port name -> where its value lives. */
  reads: { port: string; set: VariableSet | ConstantSet; key: string; shape: readonly number[] }[];
  writes: { port: string; set: VariableSet; key: string }[];
  outputs: Port[];
  nodes: number;
  /** The memory it takes where its frozen weights are large; undefined where all are baked. */
  footprint: () => Footprint | undefined;
  /** What one run of it costs. */
  cost: () => Cost;
  /** The kinds of products in the model, each once. */
  products: () => Product[];
  /** The model with the kinds of products of these keys in float16 (see precision.ts). */
  halved: (keys: ReadonlySet<string>) => Uint8Array;
  /** The model, once it is optimised, with blocks computed again in backward passes; undefined where the program does not ask for it. */
  rewrite?: (optimised: Uint8Array) => Uint8Array;
}

/**
 * Traces a program into an ONNX model. Inputs and variables that nothing depends on are left out of it. `frozen` says where
 * the tensors of its frozen weights are placed.
 */
export function traceProgram<S extends Sets>(
  spec: ProgramSpec<S>,
  {
    frozen = new Map(),
    fusesProducts = true,
    ...traits
  }: { frozen?: ReadonlyMap<ConstantSet, Record<string, Placed>> } & Partial<Traits> = {},
): Trace {
  checkInputs(spec);
  const placed: PlaceOf = (set, key) => (set.kind === "constants" ? frozen.get(set)?.[key] : undefined);
  const { graph, marks, result } = record(spec.name, () => called(spec, placed), { fusesProducts, ...traits });

  const ports: Port[] = [];
  const expose = (name: string, value: ReturnType<typeof valueOf>): Port => {
    const port = { name: `out/${name}`, shape: value.shape, dtype: value.dtype };
    graph.nodes.push({ op: "Identity", inputs: [graph.nameOf(value)], outputs: [port.name], attributes: {} });
    ports.push(port);
    return port;
  };
  // Updates first: a run that leaves outputs out then asks for a beginning of the list, see executable.ts.
  const writes = result.updates.map(({ set, key, value }) => {
    checkUpdate(spec, set, key, value.shape);
    return { port: expose(`${set}/${key}`, value).name, set: spec.sets[set] as VariableSet, key };
  });
  const outputs = result.outputs.map(({ name, value }) => expose(name, value));

  const { nodes, constants } = reachable(
    graph,
    ports.map(({ name }) => name),
  );
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const inputs = Object.entries(spec.inputs)
    .map(([name, { shape, dtype }]): Port => ({ name: `in/${name}`, shape, dtype: dtype ?? "float32" }))
    .filter(({ name }) => used.has(name));
  const given = Object.entries(spec.sets).flatMap(([name, set]) =>
    Object.entries(set.kind === "variables" ? set.variables : set.weights)
      .map(([key, { shape }]) => ({ port: `${name}/${key}`, set, key, shape, placed: placed(set, key) }))
      .filter(({ port }) => used.has(port)),
  );
  const reads = given.filter(({ placed }) => placed?.place !== "file");
  const readPorts = reads.map(({ port, shape }): Port => ({ name: port, shape, dtype: "float32" }));
  const { mapped, widening, folder } = mappedTensors(
    spec.name,
    given.flatMap(({ port, placed }) => (placed?.place === "file" ? [{ port, tensor: placed.tensor }] : [])),
  );
  const outside = given.flatMap(({ port, shape, placed }) =>
    placed && placed.place !== "baked" && placed.unfolded ? [{ port, shape, placed }] : [],
  );
  const fixed = [...outside.map(({ port }) => port), ...constants.map(({ name }) => name)];
  const ordered = outside.length === 0 ? nodes : preparingFirst(nodes, fixed);
  const encode = (encoded: Node[]): Uint8Array =>
    encodeModel({ inputs: [...inputs, ...readPorts], outputs: ports, nodes: [...widening, ...encoded], constants, mapped });
  const kind = (node: Node): Product | undefined => productOf(node, graph);
  const places = spec.checkpointing ? placesOf(graph.nodes, marks) : undefined;
  const answered = ports.map(({ name }) => name);
  const names = new Set(constants.map(({ name }) => name));
  const run = (traced: Node[]): Node[] => {
    if (!places) return traced;
    const make = (op: string, inputs: string[], output: string): Node => ({ op, inputs, outputs: [output], attributes: {} });
    return checkpointed(traced, { places, outputs: answered, isConstant: (name) => names.has(name), make });
  };
  return {
    get model() {
      return encode(ordered);
    },
    inputs: inputs.map(({ name }) => name.slice("in/".length)),
    folder,
    reads,
    writes,
    outputs,
    nodes: nodes.length,
    footprint: () => {
      if (outside.length === 0) return undefined;
      const wide = new Map(outside.map(({ port, shape }) => [port, 4 * elements(shape)]));
      const comes = ({ placed, port }: (typeof outside)[number]): number => {
        if (placed.place === "file") return placed.tensor.byteLength;
        return typeof placed.slot.initial === "function" ? (wide.get(port) as number) : 0; // else it is there already
      };
      const weights = outside.reduce((sum, at) => sum + comes(at), 0);
      const bytesOf = (name: string): number => wide.get(originalName(name)) ?? graph.bytesOf(originalName(name));
      return footprintOf(run([...widening, ...ordered]), { weights, outputs: answered, bytesOf });
    },
    cost: () => {
      const of = {
        bytesOf: (name: string) => graph.bytesOf(originalName(name)),
        producer: (name: string) => graph.producer(originalName(name)),
      };
      return costOf(run(ordered), { program: spec.name, graph: of, outputs: answered });
    },
    products: () => [...new Map(nodes.map(kind).flatMap((product) => (product ? [[product.key, product]] : []))).values()],
    halved: (keys) => encode(halveProducts(ordered, (node) => keys.has(kind(node)?.key ?? ""))),
    ...(places && {
      rewrite: (optimised) =>
        rewriteNodes(optimised, ({ nodes: encoded, outputs, constants }) =>
          checkpointed(encoded, { places, outputs, isConstant: (name) => constants.has(name), make: encodedNode }),
        ),
    }),
  };
}

/** Throws where a program declares an input that no device takes. */
function checkInputs({ name: program, inputs }: Pick<ProgramSpec<Sets>, "name" | "inputs">): void {
  for (const [name, { shape, dtype = "float32" }] of Object.entries(inputs)) {
    if (dtype === "float32" || dtype === "int32") continue;
    throw new Error(
      `Cannot compile program "${program}": input "${name}" of shape [${shape}] has dtype "${dtype}", which no device takes. ` +
        "Declare it float32 or int32, and cast it in the function.",
    );
  }
}

/** Says where a frozen tensor of a set is placed; undefined of a variable. */
type PlaceOf = (set: VariableSet | ConstantSet, key: string) => Placed | undefined;

/** What the program's function answers, called once with placeholders for all that it is given. */
function called<S extends Sets>(spec: ProgramSpec<S>, placed: PlaceOf) {
  const sets = Object.fromEntries(Object.entries(spec.sets).map(([name, set]) => [name, setTensors(name, set, (key) => placed(set, key))]));
  const inputs = Object.fromEntries(
    Object.entries(spec.inputs).map(([name, { shape, dtype }]) => [name, placeholder(`in/${name}`, shape, dtype ?? "float32")]),
  );
  const made = spec.run(sets as { [K in keyof S]: Tensors }, inputs);
  if ((made as unknown) instanceof Promise) {
    throw new Error(
      `Cannot compile program "${spec.name}": its function is async, and what follows an await is not recorded; make it a plain function.`,
    );
  }
  const { outputs, updates = {} } = made;
  return {
    outputs: Object.entries(outputs).map(([name, tensor]) => ({ name, value: valueOf(tensor) })),
    updates: Object.entries(updates).flatMap(([set, tensors]) =>
      Object.entries(tensors as Tensors).map(([key, tensor]) => ({ set, key, value: valueOf(tensor) })),
    ),
  };
}

/**
 * The nodes with those first that follow from `fixed` values alone. Of what a node reads ONNX Runtime computes last what
 * stands first in the model: so a frozen weight is widened and turned just before its use, and not all of them at the start.
 */
function preparingFirst(nodes: Node[], fixed: readonly string[]): Node[] {
  const known = new Set(fixed);
  const [first, rest]: [Node[], Node[]] = [[], []];
  for (const node of nodes) {
    const prepares = node.inputs.every((input) => known.has(input));
    if (prepares) for (const output of node.outputs) known.add(output);
    (prepares ? first : rest).push(node);
  }
  return [...first, ...rest];
}

function setTensors(name: string, set: VariableSet | ConstantSet, placed: (key: string) => Placed | undefined): Tensors {
  const entries = set.kind === "variables" ? Object.keys(set.variables) : Object.keys(set.weights);
  const tensor = (key: string): Tensor => {
    if (set.kind === "variables") return placeholder(`${name}/${key}`, set.variables[key]?.shape ?? [], "float32");
    const { shape } = set.weights[key] as ConstantSet["weights"][string];
    const at = placed(key) as Placed;
    if (at.place === "baked") return constantTensor(at.data, shape, "float32");
    return placeholder(`${name}/${key}`, shape, "float32", at.unfolded);
  };
  return Object.fromEntries(entries.map((key) => [key, tensor(key)]));
}

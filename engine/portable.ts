/**
 * A program as a model for other runtimes: ONNX's own operators of one opset and no others, any batch, weights among its initialisers,
 * as float32 or float16. What runs here (trace.ts) is shaped for ONNX Runtime; what leaves is plain.
 */
import "./translations.ts";
import { placeholder, record, valueOf } from "./backend.ts";
import { forAnyBatch, type Traced } from "./batch.ts";
import { type Constant, type DType, type Node, reachable } from "./graph.ts";
import { encodeModel, type Initialiser, type Mapped, MICROSOFT, type NamedPort } from "./onnx.ts";
import type { Tensors } from "./program.ts";
import type { Tensor } from "./tfjs.ts";

/** Weights of a model: float32, or float16 as its bits. A program reads both as float32. */
export type StoredWeights = Record<string, { shape: readonly number[]; data: Float32Array | Uint16Array }>;

export interface PortableSpec {
  name: string;
  /** By set, as in ProgramSpec: the name of an initialiser is SET/NAME. */
  weights: Record<string, StoredWeights>;
  /** Shapes of one row: the batch stands before them. The program reads the first. */
  inputs: Record<string, { shape: readonly number[]; dtype?: "float32" | "int32"; isShared?: boolean }>;
  /** Called once for each of two batches, which must make the same but for shapes. */
  run: (sets: Record<string, Tensors>, inputs: Tensors) => Tensors;
}

export interface PortableModel {
  inputs: NamedPort[];
  outputs: NamedPort[];
  /** Bytes of all weights. */
  weightBytes: number;
  /** The model with its weights in it. */
  whole: () => Uint8Array;
  /** The model without, and the weights that belong into the file called `file` beside it, one after the other. */
  beside: (file: string) => { model: Uint8Array; weights: ArrayBufferView[] };
}

/** The batches that programs are traced for: nothing else is as long, so that no shape of another meaning is taken for the batch. */
const BATCHES = [5, 7] as const;
/** TensorProto.DataType of float32. */
const FLOAT = 1;

/** The name of the axis that is the batch. */
const BATCH_AXIS = "batch";

/**
 * Traces a program into such a model. Throws an Error where its graph changes with the batch in more than shapes, and where an
 * operator of ONNX Runtime's own domain is left in it.
 *
 * @example
 * import { InferenceSession, Tensor } from "onnxruntime-node";
 * import { portableModel } from "./portable.ts";
 * import { tf } from "./tfjs.ts";
 * const weights = { network: { w: { shape: [2, 1], data: Float32Array.of(3, 4) } } };
 * const run = ({ network }, { x }) => ({ y: tf.matMul(x, network.w) });
 * const model = portableModel({ name: "product", weights, inputs: { x: { shape: [2] } }, run });
 * const session = await InferenceSession.create(model.whole());
 * const { y } = await session.run({ x: new Tensor(Float32Array.of(1, 0, 0, 1, 1, 1), [3, 2]) });
 * assert.deepEqual(y.data, Float32Array.of(3, 4, 7));
 */
export function portableModel(spec: PortableSpec): PortableModel {
  const [first, second] = BATCHES.map((batch) => traced(spec, batch)) as [Recorded, Recorded];
  const input = Object.keys(spec.inputs)[0] as string;
  const { nodes, constants } = forAnyBatch({ program: spec.name, graphs: [first, second], of: BATCHES, input });
  const foreign = nodes.find(({ op }) => MICROSOFT.has(op));
  if (foreign) throw new Error(`Cannot export program "${spec.name}": ${foreign.op} is no operator of ONNX`);
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const stored = Object.entries(spec.weights)
    .flatMap(([set, weights]) => Object.entries(weights).map(([key, tensor]) => ({ name: `${set}/${key}`, ...tensor })))
    .filter(({ name }) => read.has(name));
  const widening: Node[] = [];
  const initialisers = stored.map(({ name, shape, data }): Initialiser => {
    if (data instanceof Float32Array) return { name, shape: [...shape], dtype: "float32", data };
    const half = `${name}/half`;
    widening.push({ op: "Cast", inputs: [half], outputs: [name], attributes: { to: FLOAT } });
    return { name: half, shape: [...shape], dtype: "float16", data };
  });
  const ports = (of: readonly Port[]): NamedPort[] =>
    of.map(({ name, shape, dtype, isShared }) => ({ name, dtype, shape: isShared ? shape : [BATCH_AXIS, ...shape.slice(1)] }));
  const inputs = ports(first.inputs.filter(({ name }) => read.has(name)));
  const outputs = ports(first.outputs);
  const common = { inputs, outputs, nodes: [...widening, ...nodes.map(withoutUnread(read, first.outputs))], isStandard: true };
  return {
    inputs,
    outputs,
    weightBytes: initialisers.reduce((sum, { data }) => sum + data.byteLength, 0),
    whole: () => encodeModel({ ...common, constants: [...initialisers, ...constants] }),
    beside: (file) => {
      let offset = 0;
      const beside = initialisers.map(({ name, shape, dtype, data: { byteLength } }): Mapped => {
        offset += byteLength;
        return { name, shape, dtype, location: file, offset: offset - byteLength, byteLength };
      });
      return { model: encodeModel({ ...common, constants, beside }), weights: initialisers.map(({ data }) => data) };
    },
  };
}

interface Port {
  name: string;
  shape: readonly number[];
  dtype: DType;
  /** Without a batch. */
  isShared: boolean;
}

interface Recorded extends Traced {
  constants: Constant[];
  inputs: Port[];
  outputs: Port[];
}

/** The program recorded for one batch. */
function traced({ name, weights, inputs, run }: PortableSpec, batch: number): Recorded {
  const given = Object.entries(inputs).map(
    ([name, { shape, dtype = "float32", isShared = false }]): Port => ({
      name,
      dtype,
      isShared,
      shape: isShared ? shape : [batch, ...shape],
    }),
  );
  const { graph, result } = record(
    name,
    () => {
      const sets = Object.entries(weights).map(([set, tensors]): [string, Tensors] => [
        set,
        Object.fromEntries(Object.entries(tensors).map(([key, { shape }]) => [key, placeholder(`${set}/${key}`, shape, "float32")])),
      ]);
      const placeholders = Object.fromEntries(given.map(({ name, shape, dtype }) => [name, placeholder(name, shape, dtype)]));
      const made: [string, Tensor][] = Object.entries(run(Object.fromEntries(sets), placeholders));
      return made.map(([name, tensor]) => ({ name, value: valueOf(tensor) }));
    },
    { fusesProducts: false, isPortable: true },
  );
  const outputs = result.map(({ name, value }): Port => {
    graph.nodes.push({ op: "Identity", inputs: [graph.nameOf(value)], outputs: [name], attributes: {} });
    return { name, shape: value.shape, dtype: value.dtype, isShared: false };
  });
  const names = outputs.map(({ name }) => name);
  return { ...reachable(graph, names), inputs: given, outputs };
}

/** A node without those last outputs that nobody reads: some runtimes know operators without them alone. */
function withoutUnread(read: ReadonlySet<string>, answered: readonly Port[]): (node: Node) => Node {
  const wanted = new Set([...read, ...answered.map(({ name }) => name)]);
  return (node) => {
    const last = node.outputs.findLastIndex((name) => wanted.has(name));
    return { ...node, outputs: node.outputs.slice(0, last + 1) };
  };
}

/**
 * A graph for any batch. A program is traced for fixed shapes, so it is traced for two batches, and what differs between the two
 * graphs tells where the batch stands: in the whole numbers of shapes and offsets, each of which must be k * batch + c.
 */
import type { Constant, Node } from "./graph.ts";

/** What of a trace is compared: nodes in order and the constants that they read. */
export interface Traced {
  nodes: readonly Node[];
  constants: readonly Constant[];
}

/** Two graphs of one program, for the batches `of`; both read `input`, whose first axis is the batch. */
export interface BatchPair {
  program: string;
  graphs: readonly [Traced, Traced];
  of: readonly [number, number];
  input: string;
}

/** The names of what the batch is computed by. */
const BATCH = "batch";

/**
 * The nodes and constants of the first graph with numbers that follow from the batch computed from the shape of the input. Throws
 * an Error that names the node where the graphs differ otherwise.
 */
export function forAnyBatch({ program, graphs, of, input }: BatchPair): Traced {
  const [first, second] = graphs;
  const values = graphs.map(({ constants }) => new Map(constants.map((constant) => [constant.name, constant])));
  const paired = new Map<string, string>(); // of what nodes make: the first graph's name -> the second's
  const made: Traced = { nodes: [], constants: [] };
  const [nodes, constants] = [made.nodes as Node[], made.constants as Constant[]];
  const known = new Map<string, string>();

  const refusal = (node: Node, why: string): Error =>
    new Error(
      `Cannot make program "${program}" one for any batch: ${why} at its ${node.op} (${node.outputs[0]}), which is another for a batch ` +
        `of ${of[0]} than for one of ${of[1]}; write it without the batch's number in anything but shapes`,
    );

  /** The name of a whole-number vector, held once. */
  const vector = (numbers: readonly number[]): string => {
    const name = `integers ${numbers.join(" ")}`;
    if (!known.has(name)) constants.push({ name, shape: [numbers.length], dtype: "int64", data: BigInt64Array.from(numbers, BigInt) });
    known.set(name, name);
    return name;
  };

  /** The name of the vector `factors` * batch + `offsets`, whose nodes are recorded when first asked for. */
  const computed = (factors: readonly number[], offsets: readonly number[]): string => {
    const name = `${BATCH} ${factors.join(" ")} + ${offsets.join(" ")}`;
    if (known.has(name)) return name;
    if (!known.has(BATCH)) nodes.push({ op: "Shape", inputs: [input], outputs: [BATCH], attributes: { start: 0, end: 1 } });
    nodes.push({ op: "Mul", inputs: [BATCH, vector(factors)], outputs: [`${name}/scaled`], attributes: {} });
    nodes.push({ op: "Add", inputs: [`${name}/scaled`, vector(offsets)], outputs: [name], attributes: {} });
    for (const one of [BATCH, name]) known.set(one, one);
    return name;
  };

  /** What the first graph's node reads in place of two constants. */
  const merged = (node: Node, a: Constant, b: Constant): string => {
    if (isSame(a, b)) return a.name;
    if (a.dtype !== "int64" || b.dtype !== "int64" || String(a.shape) !== String(b.shape)) throw refusal(node, "a constant differs");
    const [x, y] = [a, b].map(({ data }) => Array.from(data as BigInt64Array, Number)) as [number[], number[]];
    const factors = x.map((value, i) => ((y[i] as number) - value) / (of[1] - of[0]));
    const offsets = x.map((value, i) => value - (factors[i] as number) * of[0]);
    if (!factors.every(Number.isInteger)) throw refusal(node, "a shape does not grow with the batch");
    const open = factors.flatMap((factor, i) => (factor === 0 ? [] : [i]));
    const [at] = open;
    // A single length that is a multiple of the batch is what is left for it: every runtime knows that form of a shape.
    if (node.op === "Reshape" && open.length === 1 && offsets[at as number] === 0)
      return vector(x.map((value, i) => (i === at ? -1 : value)));
    return computed(factors, offsets);
  };

  if (first.nodes.length !== second.nodes.length) {
    const at = first.nodes.findIndex(({ op }, i) => op !== second.nodes[i]?.op);
    throw refusal((first.nodes[at] ?? first.nodes.at(-1)) as Node, "there are more steps or fewer");
  }
  for (const [i, node] of first.nodes.entries()) {
    const other = second.nodes[i] as Node;
    if (node.op !== other.op || node.inputs.length !== other.inputs.length) throw refusal(node, "there is another step");
    if (JSON.stringify(node.attributes) !== JSON.stringify(other.attributes)) throw refusal(node, "an attribute differs");
    const inputs = node.inputs.map((name, at) => {
      const wanted = other.inputs[at] as string;
      const [a, b] = [values[0]?.get(name), values[1]?.get(wanted)];
      if (a && b) return merged(node, a, b);
      if ((paired.get(name) ?? name) !== wanted) throw refusal(node, "another value is read");
      return name;
    });
    for (const [at, name] of node.outputs.entries()) paired.set(name, other.outputs[at] as string);
    nodes.push({ ...node, inputs });
  }
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return { nodes, constants: [...first.constants, ...constants].filter(({ name }) => read.has(name)) };
}

/** Whether two constants hold the same. */
function isSame(a: Constant, b: Constant): boolean {
  if (a.dtype !== b.dtype || String(a.shape) !== String(b.shape)) return false;
  const bytes = ({ data }: Constant): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bytes(a).equals(bytes(b));
}

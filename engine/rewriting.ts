/** A model's nodes taken out of its bytes and others put in their place: everything else in it stays as it is. */
import { type Field, fieldsOf, integer, message, text } from "./protobuf.ts";

/** A node of an encoded model: names of what it reads and makes, and all else of it encoded. */
export interface EncodedNode {
  inputs: string[];
  outputs: string[];
  rest: Uint8Array;
}

/** Numbers of fields in onnx.proto. */
const MODEL = { graph: 7 };
const GRAPH = { node: 1, initialiser: 5, input: 11, output: 12 };
const NODE = { input: 1, output: 2, name: 3, operator: 4 };
const NAME = { tensor: 8, port: 1 };

/** A node of ONNX's own operators without attributes, with one output. */
export const encodedNode = (operator: string, inputs: string[], output: string): EncodedNode => ({
  inputs,
  outputs: [output],
  rest: text(NODE.operator, operator),
});

/** What a model's nodes may be replaced by. */
export interface Rewriting {
  nodes: EncodedNode[];
  /** Names of what the model answers, and of the tensors that it holds and no run may override. */
  outputs: string[];
  constants: Set<string>;
}

/** The model with the nodes that `rewrite` makes of its own. */
export function rewriteNodes(model: Uint8Array, rewrite: (found: Rewriting) => EncodedNode[]): Uint8Array {
  const fields = fieldsOf(model);
  const graph = fieldsOf(bytesOf(fields.find(({ field }) => field === MODEL.graph)));
  const all = (wanted: number): Uint8Array[] => graph.filter(({ field }) => field === wanted).map(bytesOf);
  const inputs = new Set(all(GRAPH.input).map((port) => nameIn(port, NAME.port)));
  const constants = all(GRAPH.initialiser).map((tensor) => nameIn(tensor, NAME.tensor));
  const nodes = rewrite({
    nodes: all(GRAPH.node).map(decodedNode),
    outputs: all(GRAPH.output).map((port) => nameIn(port, NAME.port)),
    constants: new Set(constants.filter((name) => !inputs.has(name))),
  });
  const others = graph.filter(({ field }) => field !== GRAPH.node).map(encodedField);
  const rewritten = message(MODEL.graph, Buffer.concat([...nodes.map(encoded), ...others]));
  return Buffer.concat([...fields.filter(({ field }) => field !== MODEL.graph).map(encodedField), rewritten]);
}

function decodedNode(node: Uint8Array): EncodedNode {
  const fields = fieldsOf(node);
  const named = (wanted: number): string[] => fields.filter(({ field }) => field === wanted).map((field) => String(bytesOf(field)));
  // Without its name, which would have to be its own: nobody asks for one.
  const rest = fields.filter(({ field }) => ![NODE.input, NODE.output, NODE.name].includes(field));
  return { inputs: named(NODE.input), outputs: named(NODE.output), rest: Buffer.concat(rest.map(encodedField)) };
}

const encoded = ({ inputs, outputs, rest }: EncodedNode): Buffer =>
  message(
    GRAPH.node,
    Buffer.concat([...inputs.map((name) => text(NODE.input, name)), ...outputs.map((name) => text(NODE.output, name)), rest]),
  );

const nameIn = (part: Uint8Array, wanted: number): string => String(bytesOf(fieldsOf(part).find(({ field }) => field === wanted)));

const bytesOf = (field?: Field): Buffer => {
  const { buffer, byteOffset, byteLength } = field?.value as Uint8Array;
  return Buffer.from(buffer, byteOffset, byteLength);
};

/** A field as it was: of those that these messages have, numbers are integers. */
const encodedField = ({ field, value }: Field): Buffer =>
  value instanceof Uint8Array ? message(field, value) : integer(field, Number(value));

/**
 * Half precision: the products of a program take float16 operands and are summed in float32, while everything else, the
 * variables included, stays float32. Which products a device does well enough is tried out before a program is compiled.
 */
import type { Attribute, Graph, Node, Value } from "./graph.ts";
import { encodeModel, type Port } from "./onnx.ts";
import { createSession, type Device, ort } from "./session.ts";
import { elements } from "./weights.ts";

export type Precision = "single" | "half";

/** A kind of product: an operator, its attributes and the shapes of its operands. */
export interface Product {
  op: string;
  attributes: Record<string, Attribute>;
  shapes: number[][];
  /** The same for equal kinds. */
  key: string;
}

const PRODUCTS = new Set(["MatMul", "Gemm", "FusedMatMul", "Conv"]);
const [FLOAT, HALF] = [1, 10]; // TensorProto.DataType

/** The kind of product that a node is; undefined for any other node. */
export function productOf(node: Node, graph: Pick<Graph, "producer">): Product | undefined {
  if (!PRODUCTS.has(node.op)) return undefined;
  const operands = graph.producer(node.outputs[0] as string)?.inputs as Value[] | undefined;
  if (!operands?.every((operand) => typeof operand === "object" && operand.dtype === "float32")) return undefined;
  const { op, attributes } = node;
  const shapes = operands.map(({ shape }) => shape);
  return { op, attributes, shapes, key: JSON.stringify([op, attributes, shapes]) };
}

/** The nodes with those products that `isHalf` names taking and giving float16, cast on both sides. */
export function halveProducts(nodes: Node[], isHalf: (node: Node) => boolean): Node[] {
  const halves = new Map<string, string>();
  return nodes.flatMap((node) => {
    if (!isHalf(node)) return [node];
    const casts: Node[] = [];
    const inputs = node.inputs.map((input) => {
      const known = halves.get(input);
      if (known) return known;
      const half = `${input}/half`;
      halves.set(input, half);
      casts.push({ op: "Cast", inputs: [input], outputs: [half], attributes: { to: HALF } });
      return half;
    });
    const outputs = node.outputs.map((output) => `${output}/half`);
    const back: Node = { op: "Cast", inputs: outputs, outputs: node.outputs, attributes: { to: FLOAT } };
    return [...casts, { ...node, inputs, outputs }, back];
  });
}

/**
 * How far a product may be off, relative to its value, for operands that float16 holds exactly: rounding the result to
 * float16 costs 2^-11; a sum in float16 of a hundred terms or more costs several times that.
 */
const TOLERANCE = 2 ** -10;

/** The keys of those kinds of products that the device does right in float16, and why the others are not among them. */
export async function soundInHalf(products: readonly Product[], device: Device): Promise<{ sound: Set<string>; reason?: string }> {
  const sound = new Set<string>();
  let reason: string | undefined;
  for (const product of products) {
    const error = await errorInHalf(product, device).catch((failure: Error) => failure.message);
    if (typeof error === "number" && error <= TOLERANCE) sound.add(product.key);
    else
      reason ??=
        typeof error === "string" ? error : `${product.op} of [${product.shapes.join("] and [")}] is off by ${error.toExponential(1)}`;
    if (typeof error === "string" && /does not support/.test(error)) break; // the device has no float16 at all
  }
  return { sound, reason };
}

/** The largest relative difference of a product in float16 from the same in float32, over positive numbers. */
async function errorInHalf(product: Product, device: Device): Promise<number> {
  const { op, attributes, shapes } = product;
  const names = shapes.map((_, i) => `x${i}`);
  const nodes: Node[] = [
    { op, inputs: names, outputs: ["y"], attributes },
    { op, inputs: names, outputs: ["z"], attributes },
    { op: "Sub", inputs: ["z", "y"], outputs: ["difference"], attributes: {} },
    { op: "Div", inputs: ["difference", "y"], outputs: ["relative"], attributes: {} },
    { op: "Abs", inputs: ["relative"], outputs: ["size"], attributes: {} },
    { op: "ReduceMax", inputs: ["size"], outputs: ["error"], attributes: { keepdims: 0 } },
  ];
  const model = encodeModel({
    inputs: names.map((name, i): Port => ({ name, shape: shapes[i], dtype: "float32" })),
    outputs: [{ name: "error", shape: [], dtype: "float32" }],
    nodes: halveProducts(nodes, ({ outputs }) => outputs[0] === "z"),
    constants: [],
  });
  const session = await createSession(model, { device, threads: 1 });
  try {
    const terms = Math.max(...shapes.flat());
    const scale = 2 ** -Math.max(0, Math.ceil(Math.log2(terms / 512) / 2)); // no sum beyond float16's 65504
    const feeds = names.map((name, i) => [name, new ort.Tensor("float32", exactInHalf(shapes[i] as number[], scale, i), shapes[i])]);
    const { error } = await session.run(Object.fromEntries(feeds));
    return (error as ort.Tensor).data[0] as number;
  } finally {
    await session.release();
  }
}

/** Numbers in [1/2, 3/2) times `scale` that float16 holds exactly, without a pattern that rows share. */
function exactInHalf(shape: readonly number[], scale: number, salt: number): Float32Array {
  const values = new Float32Array(elements(shape));
  for (let i = 0; i < values.length; i++) {
    const mixed = Math.imul(i + 1 + salt * 0x10001, 0x9e3779b1) >>> 22; // the top 10 bits
    values[i] = scale * (0.5 + mixed / 1024);
  }
  return values;
}

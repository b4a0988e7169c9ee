/**
 * Writes a graph as an ONNX model: the few protobuf messages of onnx.proto that a graph needs
 * (https://onnx.ai/onnx/api/classes.html, IR version 8, opset 17).
 */
import type { Attribute, Constant, DType, Node } from "./graph.ts";
import { float, integer, message, text } from "./protobuf.ts";

/** The version of ONNX's own operators that models are written in. */
export const OPSET = 17; // the last opset in which every reduction but ReduceSum takes its axes as an attribute
/** Numbers of the element types, as in TensorProto.DataType. */
const ELEMENT: Record<DType | StoredDtype, number> = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10, bfloat16: 16 };

/** Types that elements have in files alone: a program casts them to float32. */
export type StoredDtype = "float16" | "bfloat16";

export interface Port {
  name: string;
  /** Undefined: any. */
  shape: readonly number[] | undefined;
  dtype: DType;
}

/**
 * A tensor whose elements lie in a file. It is written as an input with a default value, which no run overrides: ONNX
 * Runtime neither folds such a tensor's arithmetic into a copy nor keeps a packed copy of it.
 */
export interface Mapped {
  name: string;
  shape: readonly number[];
  dtype: DType | StoredDtype;
  /** The file's path below the folder that the session is given, with "/" between names. */
  location: string;
  offset: number;
  byteLength: number;
}

/** An input or output of which axes may be named: such an axis has any length, the same wherever it is named. */
export type NamedPort = Omit<Port, "shape"> & { shape: readonly (number | string)[] | undefined };

/** A tensor that a model holds: of float16 the elements' bits. */
export type Initialiser = Omit<Constant, "dtype" | "data"> & { dtype: DType | "float16"; data: ArrayBufferView };

/**
 * The bytes of an ONNX model with the given inputs, outputs, nodes and constants.
 *
 * @example
 * import { InferenceSession, Tensor } from "onnxruntime-node";
 * import { encodeModel } from "./onnx.ts";
 * const [x, y] = ["x", "y"].map((name) => ({ name, shape: [1], dtype: "float32" as const }));
 * const nodes = [{ op: "Neg", inputs: ["x"], outputs: ["y"], attributes: {} }];
 * const session = await InferenceSession.create(encodeModel({ inputs: [x!], outputs: [y!], nodes, constants: [] }));
 * const answer = await session.run({ x: new Tensor(Float32Array.of(3), [1]) });
 * assert.deepEqual(answer.y!.data, Float32Array.of(-3));
 */
export function encodeModel(model: {
  inputs: readonly NamedPort[];
  outputs: readonly NamedPort[];
  nodes: readonly Node[];
  constants: readonly Initialiser[];
  mapped?: readonly Mapped[];
  /** Tensors in a file beside the model, which are no inputs of it. */
  beside?: readonly Mapped[];
  /** Declares ONNX's own operators alone. */
  isStandard?: boolean;
}): Uint8Array {
  const { mapped = [], beside = [], isStandard = false } = model;
  const graph = Buffer.concat([
    ...model.nodes.map((node) => message(1, encodeNode(node))),
    text(2, "onestep"),
    ...model.constants.map((constant) => message(5, encodeTensor(constant))),
    ...[...mapped, ...beside].map((tensor) => message(5, encodeMapped(tensor))),
    ...[...model.inputs, ...mapped].map((port) => message(11, encodePort(port))),
    ...model.outputs.map((port) => message(12, encodePort(port))),
  ]);
  const opset = (domain: string, version: number): Buffer => message(8, Buffer.concat([text(1, domain), integer(2, version)]));
  const opsets = [opset("", OPSET), ...(isStandard ? [] : [opset("com.microsoft", 1)])];
  return Buffer.concat([integer(1, 8), message(7, graph), ...opsets]);
}

function encodeNode(node: Node): Buffer {
  const domain = MICROSOFT.has(node.op) ? [text(7, "com.microsoft")] : [];
  return Buffer.concat([
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(4, node.op),
    ...Object.entries(node.attributes).map(([name, value]) => message(5, encodeAttribute(name, value))),
    ...domain,
  ]);
}

/** Operators of ONNX Runtime's own domain. */
export const MICROSOFT = new Set(["FusedMatMul", "QuickGelu"]);

function encodeAttribute(name: string, value: Attribute): Buffer {
  const type = (n: number): Buffer => integer(20, n); // AttributeProto.AttributeType
  if (typeof value === "number") return Buffer.concat([text(1, name), integer(3, value), type(2)]);
  if (typeof value === "string") return Buffer.concat([text(1, name), text(4, value), type(3)]);
  if ("float" in value) return Buffer.concat([text(1, name), float(2, value.float), type(1)]);
  return Buffer.concat([text(1, name), ...value.map((n) => integer(8, n)), type(7)]);
}

function encodeTensor({ name, shape, dtype, data }: Initialiser): Buffer {
  return Buffer.concat([
    ...shape.map((n) => integer(1, n)),
    integer(2, ELEMENT[dtype]),
    text(8, name),
    message(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

function encodeMapped({ name, shape, dtype, location, offset, byteLength }: Mapped): Buffer {
  const entry = (key: string, value: string): Buffer => message(13, Buffer.concat([text(1, key), text(2, value)]));
  return Buffer.concat([
    ...shape.map((n) => integer(1, n)),
    integer(2, ELEMENT[dtype]),
    text(8, name),
    ...[entry("location", location), entry("offset", String(offset)), entry("length", String(byteLength))],
    integer(14, 1), // data_location: EXTERNAL
  ]);
}

function encodePort({ name, shape, dtype }: Omit<NamedPort, "dtype"> & { dtype: DType | StoredDtype }): Buffer {
  const dimension = (n: number | string): Buffer => message(1, typeof n === "string" ? text(2, n) : integer(1, n));
  const dimensions = shape && message(2, Buffer.concat(shape.map(dimension)));
  const tensor = Buffer.concat([integer(1, ELEMENT[dtype]), ...(dimensions ? [dimensions] : [])]);
  return Buffer.concat([text(1, name), message(2, message(1, tensor))]);
}

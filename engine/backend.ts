/**
 * A TensorFlow.js backend that computes nothing: each kernel adds a node to the current graph. Running a function of
 * tensors on it, gradients included, leaves the function's whole arithmetic as one graph.
 */
import type { Attributes } from "./attributes.ts";
import { placeOf, readingOf, reasonOf, refusal, WRITTEN } from "./errors.ts";
import { createGraph, type DType, type Graph, toStored, type Traits, type Value, type Values } from "./graph.ts";
import { type Marks, marking } from "./marks.ts";
import { tf, type Tensor, type DataType, type TensorInfo } from "./tfjs.ts";
import { elements } from "./weights.ts";

export type { Attributes } from "./attributes.ts";

export const BACKEND = "onestep-trace";

interface Recording {
  program: string;
  graph: Graph;
  /** The first read that was asked for as a promise: nothing is thrown where nobody may wait for it. */
  failure?: Error;
}

/** What is being recorded. Tracing is synchronous, so there is at most one. */
let current: Recording | undefined;

/** The graph being recorded; throws outside of a trace. */
function graph(): Graph {
  if (!current) throw new Error(`Cannot record an operation: no trace is running on backend "${BACKEND}"`);
  return current.graph;
}

/**
 * Whether what is being traced is going to run with other batches (portable.ts): then nothing but shapes may follow from this one.
 *
 * @example
 * import { isForAnyBatch } from "./backend.ts";
 * assert.equal(isForAnyBatch(), false); // outside of a trace
 */
export const isForAnyBatch = (): boolean => current?.graph.isPortable ?? false;

/** The error of an operation that cannot be recorded, naming it, the line of the caller's code and what to do. */
export function refuse(problem: string, remedy: string): Error {
  return refusal({ program: current?.program ?? "", stack: new Error().stack ?? "", problem, remedy });
}

class TraceBackend extends tf.KernelBackend {
  readonly values = new tf.DataStorage<Value>(this as never, tf.engine());

  override write(values: unknown, shape: number[], dtype: DataType): object {
    if (dtype === "string" || dtype === "complex64") throw refuse(WRITTEN[dtype].problem, WRITTEN[dtype].remedy);
    return this.store(literal(values as Float32Array, shape, dtype as DType));
  }

  override move(dataId: object, values: unknown, shape: number[], dtype: DataType): void {
    this.values.set(dataId, literal(values as Float32Array, shape, dtype as DType));
  }

  store(value: Value): object {
    const dataId = {};
    this.values.set(dataId, value);
    return dataId;
  }

  /** The elements of a constant: nothing else has any while a function is being traced. */
  constant(dataId: object): Exclude<Values, BigInt64Array> | undefined {
    const { constant, broadcastOf, shape } = this.values.get(dataId);
    if (constant && !(constant instanceof BigInt64Array)) return constant;
    const repeated = broadcastOf?.constant;
    if (repeated?.length === 1)
      return toStored(new Array(elements(shape)).fill(Number(repeated[0])), broadcastOf?.dtype as DType) as Float32Array;
    return undefined;
  }

  unreadable(): Error {
    const { problem, remedy } = readingOf(placeOf(new Error().stack ?? "").operation);
    return refuse(problem, remedy);
  }

  override readSync(dataId: object): Exclude<Values, BigInt64Array> {
    const constant = this.constant(dataId);
    if (!constant) throw this.unreadable();
    return constant;
  }

  override read(dataId: object): Promise<Exclude<Values, BigInt64Array>> {
    const constant = this.constant(dataId);
    if (constant) return Promise.resolve(constant);
    if (!current) return Promise.reject(this.unreadable());
    current.failure ??= this.unreadable();
    return new Promise(() => {}); // record() reports it
  }

  /** Values are not counted: a kernel may record several, which TensorFlow.js would take for a leak. */
  override numDataIds(): number {
    return 0;
  }
  override disposeData(): boolean {
    return true; // values live as long as the graph that names them
  }
  override refCount(): number {
    return 1;
  }
  override incRef(): void {}
  override timerAvailable(): boolean {
    return false;
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
}

/** A value with the given elements. One number many times over, as tf.ones makes it, stays one number. */
function literal(values: ArrayLike<number>, shape: number[], dtype: DType): Value {
  const first = values[0] as number;
  let same = 0; // a loop, for `every` takes ten times as long
  while (same < values.length && Object.is(values[same], first)) same++;
  const uniform = values.length > 1 && same === values.length;
  const constant = toStored(uniform ? [first] : values, dtype);
  return uniform ? { shape: [...shape], dtype, broadcastOf: { shape: [], dtype, constant } } : { shape: [...shape], dtype, constant };
}

const backend = new TraceBackend();
tf.env().set("IS_TEST", true); // keeps the CPU backend from printing an advertisement for tfjs-node
tf.registerBackend(BACKEND, () => backend, 0);

/** What a kernel's translation receives and returns: values, not tensors. */
export type Translation = (inputs: Record<string, Value>, attributes: Attributes, graph: Graph) => Value | Value[];

/** The TensorFlow.js kernels that have a translation. */
export const translated = new Set<string>();

/** Registers the translation of one TensorFlow.js kernel. */
export function translate(kernelName: string, translation: Translation): void {
  translated.add(kernelName);
  tf.registerKernel({
    kernelName,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const values: Record<string, Value> = {};
      for (const [name, info] of Object.entries(inputs)) {
        if (info) values[name] = withShape(backend.values.get((info as TensorInfo).dataId), (info as TensorInfo).shape);
      }
      const attributes = (attrs ?? {}) as unknown as Attributes;
      if (attributes.dataFormat === "NCHW")
        throw refuse('asks for dataFormat "NCHW"', 'transpose to "NHWC", which programs are recorded in');
      const result = translation(values, attributes, graph());
      const toInfo = (value: Value): TensorInfo => ({
        dataId: backend.store(value),
        shape: value.shape,
        dtype: value.dtype as DataType,
      });
      return Array.isArray(result) ? result.map(toInfo) : toInfo(result);
    },
  });
}

/** A kernel in terms of other operations: tensors in, a tensor out. Inputs that were not given are undefined. */
export type Parts = (inputs: Record<string, Tensor>, attributes: Attributes) => Tensor;

/** Registers the translation of a kernel by its parts: what they record. */
export function translateByParts(kernelName: string, parts: Parts): void {
  translated.add(kernelName);
  tf.registerKernel({
    kernelName,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const { dataId, shape, dtype } = parts(inputs as Record<string, Tensor>, (attrs ?? {}) as never);
      return { dataId, shape, dtype }; // a tensor of its own, should the parts have returned an input
    },
  });
}

/** TensorFlow.js may reshape a tensor without telling the backend (same data, new shape). */
function withShape(value: Value, shape: number[]): Value {
  return value.shape.length === shape.length && value.shape.every((n, i) => n === shape[i])
    ? value
    : value.constant || elements(value.broadcastOf?.shape ?? [0]) === 1
      ? { ...value, shape, name: undefined }
      : graph().add("Reshape", [value, graph().integers(shape)], shape, value.dtype);
}

/**
 * A tensor that stands for an input or variable called `name` of the graph being traced; `unfolded` where it is a frozen
 * weight (see Value).
 */
export function placeholder(name: string, shape: readonly number[], dtype: DType, unfolded = false): Tensor {
  const dataId = backend.store({ name, shape: [...shape], dtype, ...(unfolded && { unfolded }) });
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: dtype as DataType });
}

/** A tensor whose elements are fixed: a frozen weight. */
export function constantTensor(data: Values, shape: readonly number[], dtype: DType): Tensor {
  const dataId = backend.store({ shape: [...shape], dtype, constant: data });
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: dtype as DataType });
}

/** The value a tensor of the current trace stands for. */
export function valueOf(tensor: Tensor): Value {
  return withShape(backend.values.get(tensor.dataId), tensor.shape);
}

/** Frames an error needs to reach the caller's code through TensorFlow.js's. */
const DEEP = 200;

/** Runs the body of the program `name` on the recording backend; returns the graph it recorded, its marks and the body's result. */
export function record<T>(
  name: string,
  body: () => T,
  traits: Traits = { fusesProducts: true },
): { graph: Graph; marks: Marks; result: T } {
  const previous = tf.engine().backendName;
  const recording: Recording = { program: name, graph: createGraph(traits) };
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = DEEP;
  current = recording;
  tf.setBackend(BACKEND);
  tf.engine().startScope("trace");
  try {
    const { result, marks } = marking(recording.graph.nodes, body);
    if (recording.failure) throw recording.failure;
    return { graph: recording.graph, marks, result };
  } catch (error) {
    if (recording.failure) throw recording.failure;
    const { message, stack = "" } = error as Error;
    const [, kernel] = /^Kernel '(\w+)' not registered/.exec(message) ?? [];
    if (!kernel) throw error;
    throw refusal({ program: name, stack, ...reasonOf(kernel), cause: error });
  } finally {
    tf.engine().endScope();
    current = undefined;
    Error.stackTraceLimit = limit;
    if (previous) tf.setBackend(previous);
  }
}

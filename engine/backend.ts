/**
 * A TensorFlow.js backend that computes nothing: each kernel adds a node to the current graph. Running a function of
 * tensors on it, gradients included, leaves the function's whole arithmetic as one graph.
 */
import { createGraph, type DType, type Graph, size, toStored, type Value, type Values } from "./graph.ts";
import { tf, type Tensor } from "./tfjs.ts";

export const BACKEND = "onestep-trace";

/** The graph being recorded. Tracing is synchronous, so there is at most one. */
let current: Graph | undefined;

/** The graph being recorded; throws outside of a trace. */
export function graph(): Graph {
  if (!current) throw new Error(`Cannot record an operation: no trace is running on backend "${BACKEND}"`);
  return current;
}

class TraceBackend extends tf.KernelBackend {
  readonly values = new tf.DataStorage<Value>(this as never, tf.engine());

  override write(values: unknown, shape: number[], dtype: tf.DataType): object {
    return this.store(literal(values as Float32Array, shape, dtype as DType));
  }

  override move(dataId: object, values: unknown, shape: number[], dtype: tf.DataType): void {
    this.values.set(dataId, literal(values as Float32Array, shape, dtype as DType));
  }

  store(value: Value): object {
    const dataId = {};
    this.values.set(dataId, value);
    return dataId;
  }

  /** Only constants have elements while a function is being traced. */
  override readSync(dataId: object): Exclude<Values, BigInt64Array> {
    const { constant, broadcastOf, shape } = this.values.get(dataId);
    if (constant && !(constant instanceof BigInt64Array)) return constant;
    const repeated = broadcastOf?.constant;
    if (repeated?.length === 1) return toStored(new Array(size(shape)).fill(Number(repeated[0])), broadcastOf?.dtype as DType) as Float32Array;
    throw new Error(
      "Cannot read a tensor's elements inside a compiled function: they do not exist yet. Return the tensor as an " +
        "output, or express the decision with tf.where.",
    );
  }

  override async read(dataId: object): Promise<never> {
    return this.readSync(dataId) as never;
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
  const uniform = values.length > 1 && Array.prototype.every.call(values, (value) => Object.is(value, first));
  const constant = toStored(uniform ? [first] : values, dtype);
  return uniform ? { shape: [...shape], dtype, broadcastOf: { shape: [], dtype, constant } } : { shape: [...shape], dtype, constant };
}

const backend = new TraceBackend();
tf.env().set("IS_TEST", true); // keeps the CPU backend from printing an advertisement for tfjs-node
tf.registerBackend(BACKEND, () => backend, 0);

/** The attributes of TensorFlow.js kernels, by the names tfjs-core gives them. A kernel has the few that concern it. */
export interface Attributes {
  axis: number;
  reductionIndices: number[] | undefined;
  keepDims: boolean;
  dim: number;
  dims: number[];
  exclusive: boolean;
  reverse: boolean;
  shape: number[];
  value: number;
  dtype: DType;
  alpha: number | undefined;
  clipValueMin: number;
  clipValueMax: number;
  perm: number[];
  begin: number[];
  end: number[];
  size: number[];
  strides: number[] & [number, number];
  beginMask: number;
  endMask: number;
  ellipsisMask: number;
  newAxisMask: number;
  shrinkAxisMask: number;
  numOrSizeSplits: number | number[];
  paddings: [number, number][];
  constantValue: number;
  mode: string;
  reps: number[];
  transposeA: boolean;
  transposeB: boolean;
  pad: "same" | "valid" | number;
  dilations: [number, number] | undefined;
  dimRoundingMode: "floor" | "round" | "ceil";
  inputShape: number[];
  filterShape: number[];
  filterSize: [number, number];
  batchDims: number | undefined;
  numSegments: number;
  depth: number;
  onValue: number;
  offValue: number;
  start: number;
  stop: number;
  step: number;
  epsilon: number;
}

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
        if (info) values[name] = withShape(backend.values.get((info as tf.TensorInfo).dataId), (info as tf.TensorInfo).shape);
      }
      const result = translation(values, (attrs ?? {}) as never, graph());
      const toInfo = (value: Value): tf.TensorInfo => ({
        dataId: backend.store(value),
        shape: value.shape,
        dtype: value.dtype as tf.DataType,
      });
      return Array.isArray(result) ? result.map(toInfo) : toInfo(result);
    },
  });
}

/** TensorFlow.js may reshape a tensor without telling the backend (same data, new shape). */
function withShape(value: Value, shape: number[]): Value {
  return value.shape.length === shape.length && value.shape.every((n, i) => n === shape[i])
    ? value
    : value.constant || size(value.broadcastOf?.shape ?? [0]) === 1
      ? { ...value, shape, name: undefined }
      : graph().add("Reshape", [value, graph().integers(shape)], shape, value.dtype);
}

/** A tensor that stands for an input or variable called `name` of the graph being traced. */
export function placeholder(name: string, shape: readonly number[], dtype: DType): Tensor {
  const dataId = backend.store({ name, shape: [...shape], dtype });
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: dtype as tf.DataType });
}

/** A tensor whose elements are fixed: a frozen weight. */
export function constantTensor(data: Values, shape: readonly number[], dtype: DType): Tensor {
  const dataId = backend.store({ shape: [...shape], dtype, constant: data });
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype: dtype as tf.DataType });
}

/** The value a tensor of the current trace stands for. */
export function valueOf(tensor: Tensor): Value {
  return withShape(backend.values.get(tensor.dataId), tensor.shape);
}

/** Runs the body of the program `name` on the recording backend and returns the graph it recorded with the body's result. */
export function record<T>(name: string, body: () => T): { graph: Graph; result: T } {
  const previous = tf.engine().backendName;
  const recording = createGraph();
  current = recording;
  tf.setBackend(BACKEND);
  tf.engine().startScope("trace");
  try {
    return { graph: recording, result: body() };
  } catch (error) {
    const [, kernel] = /^Kernel '(\w+)' not registered/.exec((error as Error).message) ?? [];
    if (!kernel) throw error;
    throw new Error(
      `Cannot compile program "${name}": TensorFlow.js's kernel "${kernel}" has no translation. Write it with other ` +
        "operations, or translate it in engine/kernels.",
      { cause: error },
    );
  } finally {
    tf.engine().endScope();
    current = undefined;
    if (previous) tf.setBackend(previous);
  }
}

/**
 * The engine: TensorFlow.js programs, compiled to ONNX Runtime. A program is traced once for its shapes; running it
 * feeds inputs and variables, returns outputs, and leaves new variable values in place.
 */
import { cacheFolder, openCache } from "./cache.ts";
import { createEagerVariables, disposeEagerVariables, eagerProgram } from "./eager.ts";
import { compileProgram } from "./executable.ts";
import { asLiving } from "./living.ts";
import { createMemory } from "./memory.ts";
import { BAKED_BYTES, type Placed } from "./frozen.ts";
import type { Precision } from "./precision.ts";
import type { Program, ProgramSpec, Sets } from "./program.ts";
import type { Device, ort } from "./session.ts";
import { loadTensorflow } from "./tensorflow.ts";
import { type ConstantSet, createOrder, createVariables, freeSlots, type VariableSet } from "./variables.ts";
import type { FrozenWeights, Weights } from "./weights.ts";

export type { Program } from "./program.ts";

export interface Engine {
  device: Device | EagerDevice;
  precision: Precision;
  /** Whether tensors live in memory that JavaScript cannot read, so that each output is waited for and copied. */
  isSeparate: boolean;
  /** A named set of variables, which programs read and update. It stays on the device between runs. */
  variables: (name: string, weights: Weights) => VariableSet;
  /**
   * Frozen weights, in memory or in safetensors files. Small sets are baked into the programs that use them; of large ones,
   * and on WebGPU, programs share the tensors, and on the CPU those in files stay there (see frozen.ts). Let the files be
   * as they are until the engine is disposed of: they are mapped.
   */
  constants: (name: string, weights: FrozenWeights) => ConstantSet;
  /** Traces a program for its shapes and makes it ready to run. */
  compile: <S extends Sets>(spec: ProgramSpec<S>) => Promise<Program>;
  /**
   * The same program, over the same sets, run as it is written on TensorFlow.js's CPU backend: values can be printed
   * and break points set in it. Variables are read from the device and loaded back, so do not let its runs overlap others.
   */
  eager: <S extends Sets>(spec: ProgramSpec<S>) => Program;
  /** Releases programs and variables. */
  dispose: () => Promise<void>;
}

/** Devices that run the functions of a program as they are, one operation at a time. */
export type EagerDevice = "eager" | "tensorflow";

export interface EngineOptions {
  device?: Device | EagerDevice;
  /** Which CUDA device, where there are several; the first unless told. */
  card?: number | undefined;
  /** Threads inside one operator; 0 for one a core. */
  threads?: number;
  /**
   * "half": products of float16 operands with float32 sums, on the GPU devices; variables stay float32. Products that the
   * device gets wrong are taken in float32, which the program's `notes` say. Scale losses against underflow.
   */
  precision?: Precision;
  /** The start of a file's path: writes a profile of each program there when the engine is disposed of. */
  profile?: string;
  /** The bytes, as float32, from which a set of frozen weights is not baked into programs; 128 MiB unless given. */
  bakedBytes?: number;
  /** The bytes of memory that a program with large frozen weights may take; what is available unless given. */
  memoryBytes?: number;
  /** The folder optimised graphs are kept in; false keeps none. Unless given, `cacheFolder()` of cache.ts. */
  cache?: string | false;
}

/**
 * An engine on a device. "eager" runs the same functions directly on TensorFlow.js's CPU backend, slowly: for debugging
 * and as the reference in tests. "tensorflow" runs them on the user's own tfjs-node or tfjs-node-gpu. Throws an Error
 * that says what to install where the device is absent.
 *
 * @example
 * import { createEngine, tf } from "onestep/engine";
 * const engine = await createEngine({ device: "cpu" });
 * const inputs = { x: { shape: [2] } };
 * const double = await engine.compile({ name: "double", sets: {}, inputs, run: (_, { x }) => ({ outputs: { y: tf.mul(x!, 2) } }) });
 * assert.deepEqual((await double.run({ x: Float32Array.of(1, 2) })).y, Float32Array.of(2, 4));
 * await engine.dispose();
 */
export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const { device = "cpu", precision = "single" } = options;
  if (precision === "half" && device !== "webgpu" && device !== "cuda") {
    throw new Error(
      `Cannot use precision "half" on device "${device}": it has no products of float16 operands. ` +
        'Use precision "single", or device "webgpu" or "cuda".',
    );
  }
  return asLiving(await (device === "eager" || device === "tensorflow" ? eagerEngine(device) : compiledEngine(device, options)));
}

async function compiledEngine(device: Device, options: EngineOptions): Promise<Engine> {
  const {
    card,
    threads = 0,
    precision = "single",
    profile,
    bakedBytes = BAKED_BYTES,
    memoryBytes,
    cache: folder = cacheFolder(),
  } = options;
  const memory = await createMemory(device);
  const inOrder = createOrder();
  const cache = folder ? openCache({ folder }) : undefined;
  const sessions: ort.InferenceSession[] = [];
  const sets: VariableSet[] = [];
  const frozen = new Map<ConstantSet, Promise<Record<string, Placed>>>();
  let compiled = 0;
  return {
    device,
    precision,
    isSeparate: memory.isSeparate,
    variables: (name, weights) => {
      const set = createVariables(name, weights, { memory, inOrder });
      sets.push(set);
      return set;
    },
    constants,
    compile: async (spec) => {
      const path = profile === undefined ? undefined : `${profile}-${compiled++}`;
      const session = { device, card, threads, profile: path, cache };
      const made = await compileProgram(spec, { session, precision, memory, inOrder, frozen, bakedBytes, memoryBytes });
      sessions.push(made.session);
      return made.program;
    },
    eager: (spec) => eagerProgram(spec, { device: "eager", backend: "cpu", inOrder: (task) => task() }),
    dispose: () =>
      inOrder(async () => {
        for (const set of sets.splice(0)) freeSlots(set.variables, memory);
        for (const placed of await Promise.all(frozen.values())) {
          for (const at of Object.values(placed)) if (at.place === "input") freeSlots({ at: at.slot }, memory);
        }
        frozen.clear();
        for (const session of sessions.splice(0)) await session.release();
        await memory.dispose();
      }),
  };
}

async function eagerEngine(device: EagerDevice): Promise<Engine> {
  const notes = device === "tensorflow" ? await loadTensorflow() : [];
  const backend = device === "eager" ? "cpu" : device;
  const inOrder = createOrder();
  const sets: VariableSet[] = [];
  const program: Engine["eager"] = (spec) => eagerProgram(spec, { device, backend, inOrder, notes });
  return {
    device,
    precision: "single",
    isSeparate: false,
    variables: (name, weights) => {
      const set = createEagerVariables(name, weights, { device, backend, inOrder });
      sets.push(set);
      return set;
    },
    constants,
    compile: async (spec) => program(spec),
    eager: program,
    dispose: () =>
      inOrder(async () => {
        for (const set of sets.splice(0)) disposeEagerVariables(set);
      }),
  };
}

const constants: Engine["constants"] = (name, weights) => ({ kind: "constants", name, weights });

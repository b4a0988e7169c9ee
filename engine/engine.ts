/**
 * The engine: TensorFlow.js programs, compiled to ONNX Runtime. A program is traced once for its shapes; running it
 * feeds inputs and variables, returns outputs, and leaves new variable values in place.
 */
import { cacheFolder, openCache } from "./cache.ts";
import { createEagerVariables, disposeEagerVariables, eagerProgram, loadTensorflow } from "./eager.ts";
import { compileProgram } from "./executable.ts";
import { createMemory } from "./memory.ts";
import type { Precision } from "./precision.ts";
import type { Program, ProgramSpec, Sets } from "./program.ts";
import type { Device, ort } from "./session.ts";
import { type ConstantSet, createOrder, createVariables, freeSlots, type Slot, type VariableSet } from "./variables.ts";
import type { Weights } from "./weights.ts";

export type { Program } from "./program.ts";

export interface Engine {
  device: Device | EagerDevice;
  precision: Precision;
  /** A named set of variables, which programs read and update. It stays on the device between runs. */
  variables: (name: string, weights: Weights) => VariableSet;
  /** Frozen weights, baked into the programs that use them or, on WebGPU, shared between them. */
  constants: (name: string, weights: Weights) => ConstantSet;
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
  /** Threads inside one operator; 0 for one a core. */
  threads?: number;
  /**
   * "half": products of float16 operands with float32 sums, on the GPU devices; variables stay float32. Products that the
   * device gets wrong are taken in float32, which the program's `notes` say. Scale losses against underflow.
   */
  precision?: Precision;
  /** The start of a file's path: writes a profile of each program there when the engine is disposed of. */
  profile?: string;
  /** The folder optimised graphs are kept in; false keeps none. Unless given, `cacheFolder()` of cache.ts. */
  cache?: string | false;
}

/**
 * An engine on a device. "eager" runs the same functions directly on TensorFlow.js's CPU backend, slowly: for debugging
 * and as the reference in tests. "tensorflow" runs them on the user's own tfjs-node or tfjs-node-gpu. Throws an Error
 * that says what to install where the device is absent.
 *
 * @example
 * import { createEngine } from "onestep/engine/engine";
 * import { tf } from "onestep/engine/tfjs";
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
  return device === "eager" || device === "tensorflow" ? eagerEngine(device) : compiledEngine(device, options);
}

async function compiledEngine(device: Device, options: EngineOptions): Promise<Engine> {
  const { threads = 0, precision = "single", profile, cache: folder = cacheFolder() } = options;
  const memory = await createMemory(device);
  const inOrder = createOrder();
  const cache = folder ? openCache({ folder }) : undefined;
  const sessions: ort.InferenceSession[] = [];
  const sets: VariableSet[] = [];
  const frozen = new Map<ConstantSet, Record<string, Slot>>();
  let compiled = 0;
  return {
    device,
    precision,
    variables: (name, weights) => {
      const set = createVariables(name, weights, { memory, inOrder });
      sets.push(set);
      return set;
    },
    constants,
    compile: async (spec) => {
      const path = profile === undefined ? undefined : `${profile}-${compiled++}`;
      const session = { device, threads, profile: path, cache };
      const made = await compileProgram(spec, { session, precision, memory, inOrder, frozen });
      sessions.push(made.session);
      return made.program;
    },
    eager: (spec) => eagerProgram(spec, { device: "eager", backend: "cpu", inOrder: (task) => task() }),
    dispose: () =>
      inOrder(async () => {
        for (const set of sets.splice(0)) freeSlots(set.variables, memory);
        for (const slots of frozen.values()) freeSlots(slots, memory);
        frozen.clear();
        for (const session of sessions.splice(0)) await session.release();
        await memory.dispose();
      }),
  };
}

async function eagerEngine(device: EagerDevice): Promise<Engine> {
  if (device === "tensorflow") await loadTensorflow();
  const backend = device === "eager" ? "cpu" : device;
  const inOrder = createOrder();
  const sets: VariableSet[] = [];
  const program: Engine["eager"] = (spec) => eagerProgram(spec, { device, backend, inOrder });
  return {
    device,
    precision: "single",
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

/**
 * The engine: TensorFlow.js programs, compiled to ONNX Runtime. A program is traced once for its shapes; running it
 * feeds inputs and variables, returns outputs, and leaves new variable values in place.
 */
import { type InputArray, type ProgramSpec, type Sets, traceProgram } from "./program.ts";
import { createSession, type Device, ort } from "./session.ts";
import { loadTensorflow, runEagerly } from "./eager.ts";
import { type ConstantSet, createVariables, type VariableSet } from "./variables.ts";
import type { Weights } from "./weights.ts";

export interface Program {
  name: string;
  /** Nodes of the traced graph. */
  nodes: number;
  /** Runs once. Inputs by name, as flat arrays of the declared shapes; outputs likewise. */
  run: (inputs: Record<string, InputArray>) => Promise<Record<string, InputArray>>;
}

export interface Engine {
  device: Device | EagerDevice;
  /** A named set of variables, which programs read and update. */
  variables: (name: string, weights: Weights) => VariableSet;
  /** Frozen weights, baked into the programs that use them. */
  constants: (name: string, weights: Weights) => ConstantSet;
  compile: <S extends Sets>(spec: ProgramSpec<S>) => Promise<Program>;
  dispose: () => Promise<void>;
}

/** Devices that run the functions of a program as they are, one operation at a time. */
export type EagerDevice = "eager" | "tensorflow";

/**
 * An engine on a device. "eager" runs the same functions directly on TensorFlow.js's CPU backend, slowly: for debugging
 * and as the reference in tests. "tensorflow" runs them on the user's own tfjs-node or tfjs-node-gpu. `threads` 0 means
 * one a core.
 */
export async function createEngine(options: { device?: Device | EagerDevice; threads?: number } = {}): Promise<Engine> {
  const { device = "cpu", threads = 0 } = options;
  if (device === "tensorflow") await loadTensorflow();
  const sessions: ort.InferenceSession[] = [];
  return {
    device,
    variables: createVariables,
    constants: (name, weights) => ({ kind: "constants", name, weights }),
    compile: async (spec) => {
      if (device === "eager" || device === "tensorflow") {
        const backend = device === "eager" ? "cpu" : device;
        return { name: spec.name, nodes: 0, run: (inputs) => runEagerly(spec, inputs, backend) };
      }
      const { program, session } = await compileProgram(spec, { device, threads });
      sessions.push(session);
      return program;
    },
    dispose: async () => {
      for (const session of sessions.splice(0)) await session.release();
    },
  };
}

async function compileProgram<S extends Sets>(
  spec: ProgramSpec<S>,
  options: { device: Device; threads: number },
): Promise<{ program: Program; session: ort.InferenceSession }> {
  const trace = traceProgram(spec);
  const session = await createSession(trace.model, options);

  const run: Program["run"] = async (inputs) => {
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of trace.inputs) {
      const { shape, dtype = "float32" } = spec.inputs[name] as { shape: number[]; dtype?: "float32" | "int32" };
      const data = inputs[name];
      if (!data) throw new Error(`Cannot run program "${spec.name}": input "${name}" of shape [${shape}] is missing`);
      if (data.length !== shape.reduce((a, b) => a * b, 1)) {
        throw new Error(`Cannot run program "${spec.name}": input "${name}" of shape [${shape}] got ${data.length} elements`);
      }
      feeds[`in/${name}`] = new ort.Tensor(dtype, data as never, shape);
    }
    for (const { port, set, key } of trace.reads) {
      const variable = set.variables[key] as { shape: number[]; data: Float32Array };
      feeds[port] = new ort.Tensor("float32", variable.data, variable.shape);
    }
    const fetches: Record<string, ort.Tensor | null> = {};
    for (const { name } of trace.outputs) fetches[name] = null;
    for (const { port, set, key, shape } of trace.writes) {
      fetches[port] = new ort.Tensor("float32", (set.variables[key] as { spare: Float32Array }).spare, shape);
    }
    const results = await session.run(feeds, fetches);
    for (const { set, key } of trace.writes) {
      const variable = set.variables[key] as { data: Float32Array; spare: Float32Array };
      [variable.data, variable.spare] = [variable.spare, variable.data];
    }
    return Object.fromEntries(
      trace.outputs.map(({ name }) => [name.slice("out/".length), (results[name] as ort.Tensor).data as InputArray]),
    );
  };
  return { program: { name: spec.name, nodes: trace.nodes, run }, session };
}

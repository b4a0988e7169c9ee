/** ONNX Runtime sessions: how a model's bytes become something that runs on a device. */
import * as ort from "onnxruntime-node";

export type Device = "cpu" | "webgpu" | "cuda";

export interface SessionOptions {
  device: Device;
  /** Threads inside one operator; 0 for one a core. */
  threads: number;
  /** Outputs that stay on the device between runs. */
  resident?: string[];
}

/** A session for the model, or an error that says which device refused it. */
export async function createSession(model: Uint8Array, options: SessionOptions): Promise<ort.InferenceSession> {
  const { device, threads, resident = [] } = options;
  const onGpu = device === "webgpu";
  try {
    return await ort.InferenceSession.create(model, {
      executionProviders: [device],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
      // Denormals slow a CPU tenfold and carry nothing. Idle threads must not spin: another engine wants the core.
      extra: { session: { set_denormal_as_zero: "1", intra_op: { allow_spinning: "0" } } },
      ...(onGpu ? { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, "gpu-buffer" as const])) } : {}),
    });
  } catch (error) {
    throw new Error(`Cannot create an ONNX Runtime session on device "${device}": ${(error as Error).message}`, { cause: error });
  }
}

export { ort };

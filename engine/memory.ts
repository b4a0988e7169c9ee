/** Where the devices of ONNX Runtime keep variables: see {@link Memory}. */
import { encodeModel, type Port } from "./onnx.ts";
import { createSession, type Device, ort } from "./session.ts";
import type { Memory } from "./variables.ts";
import { elements } from "./weights.ts";

/**
 * The memory of a device; throws where the device is absent. ONNX Runtime for Node brings CUDA's results to the CPU after
 * each run, so that variables stay on the GPU on WebGPU alone.
 */
export async function createMemory(device: Device): Promise<Memory> {
  if (device === "webgpu") return deviceMemory(device);
  if (device === "cuda") await (await createSession(copying("float32"), { device, threads: 1 })).release();
  return hostMemory(device);
}

type Copied = "float32" | "int32";

/** A model that copies one tensor of any shape. */
function copying(dtype: Copied): Uint8Array {
  const port = (name: string): Port => ({ name, shape: undefined, dtype });
  const nodes = [{ op: "Identity", inputs: ["x"], outputs: ["y"], attributes: {} }];
  return encodeModel({ inputs: [port("x")], outputs: [port("y")], nodes, constants: [] });
}

function hostMemory(device: Device): Memory {
  const tensor = (data: Float32Array, shape: readonly number[]): ort.Tensor => new ort.Tensor("float32", data, shape);
  return {
    device,
    isSeparate: false,
    upload: async (data, shape) => tensor(data, shape),
    download: async ({ data }) => (data as Float32Array).slice(),
    spare: (shape) => tensor(new Float32Array(elements(shape)), shape),
    free: () => {},
    dispose: async () => {},
  };
}

/**
 * Values in buffers of the GPU. They go there and come back through small sessions: asking such a tensor itself for its
 * data ends the process.
 */
async function deviceMemory(device: Device): Promise<Memory> {
  const up = await createSession(copying("float32"), { device, threads: 1, resident: ["y"] });
  const down = new Map<string, ort.InferenceSession>();
  const copy = async (session: ort.InferenceSession, x: ort.Tensor): Promise<ort.Tensor> => (await session.run({ x })).y as ort.Tensor;
  return {
    device,
    isSeparate: true,
    upload: (data, shape) => copy(up, new ort.Tensor("float32", data, shape)),
    download: async (tensor) => {
      const session = down.get(tensor.type) ?? (await createSession(copying(tensor.type as Copied), { device, threads: 1 }));
      down.set(tensor.type, session);
      return (await copy(session, tensor)).data as Float32Array | Int32Array;
    },
    spare: () => undefined,
    free: (tensor) => tensor.dispose(),
    dispose: async () => {
      for (const session of [up, ...down.values()]) await session.release();
    },
  };
}

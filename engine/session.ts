/** ONNX Runtime sessions: how a model's bytes become something that runs on a device. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCuda } from "./cuda.ts"; // before the package that it changes
import * as ort from "onnxruntime-node";
import type { GraphCache } from "./cache.ts";

export type Device = "cpu" | "webgpu" | "cuda";

export interface SessionOptions {
  device: Device;
  /** Which CUDA device; the first unless told. */
  card?: number | undefined;
  /** Threads inside one operator; 0 for one a core. */
  threads: number;
  /** Named in errors. */
  program?: string;
  /** Where to write ONNX Runtime's profile when the session is released: the start of a file's path (see profile.ts). */
  profile?: string;
  /** Outputs that stay on the device between runs. */
  resident?: string[];
  /** Where optimised graphs are kept. */
  cache?: GraphCache;
  /** The folder below which the files of mapped tensors lie; undefined where the model has none. */
  folder?: string;
  /** What is made of the model once it is optimised; the result runs as it is. */
  rewrite?: ((optimised: Uint8Array) => Uint8Array) | undefined;
}

/** A session for the model, or an error that says which device refused it and what to do. */
export async function createSession(model: Uint8Array, options: SessionOptions): Promise<ort.InferenceSession> {
  const { device, program, cache, folder, rewrite } = options;
  if (device === "cuda") openCuda();
  const create: Create = (bytes, how) => ort.InferenceSession.create(bytes, optionsOf(options, how));
  try {
    if (rewrite) return await create(rewrite(await optimised(model, create)), { isOptimised: true });
    // A model with mapped tensors is made at once, and what ONNX Runtime would keep of it does not hold their elements.
    return cache && folder === undefined ? await cache.session(model, { device, create }) : await create(model);
  } catch (error) {
    const what = program === undefined ? "use" : `compile program "${program}" on`;
    const said = (error as Error).message.replace(/^\/\S+ .*? was false\. /, "").trim(); // where in ONNX Runtime's source
    const message = /CUDA failure \d+: [^;]+/.exec(said)?.[0].trim() ?? said;
    throw new Error(`Cannot ${what} device "${device}": ${message.replace(/\.$/, "")}.${remedy(device, message)}`, { cause: error });
  }
}

type How = { saveTo?: string; format?: "ORT" | "ONNX"; isOptimised?: boolean };
type Create = (bytes: Uint8Array, how?: How) => Promise<ort.InferenceSession>;

/** What ONNX Runtime makes of a model before it runs it, as a model. */
async function optimised(model: Uint8Array, create: Create): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "onestep-model-"));
  try {
    const saveTo = join(folder, "optimised.onnx");
    await (await create(model, { saveTo, format: "ONNX" })).release();
    return await readFile(saveTo);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function optionsOf(
  { device, card = 0, threads, profile, resident = [], folder }: SessionOptions,
  { saveTo, format = "ORT", isOptimised = false }: How = {},
): ort.InferenceSession.SessionOptions {
  const onGpu = device === "webgpu" && resident.length > 0;
  return {
    executionProviders: [device === "cuda" ? { name: device, deviceId: card } : device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    enableMemPattern: false, // its plan takes one more block, as large as all activations together, and no less time
    graphOptimizationLevel: isOptimised ? "disabled" : "all",
    logSeverityLevel: LOG_FATAL, // whatever goes wrong is thrown too
    ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    ...(saveTo !== undefined && { optimizedModelFilePath: saveTo }),
    // Denormals slow a CPU tenfold and carry nothing. Threads spin for no longer than the next operator takes to begin:
    // other engines want the cores.
    extra: {
      session: {
        set_denormal_as_zero: "1",
        intra_op: { allow_spinning: "1", spin_duration_us: "20" },
        force_spinning_stop: "1",
        ...(device !== "cpu" && process.env.ONESTEP_STRICT === "1" && { disable_cpu_ep_fallback: "1" }),
        ...(saveTo !== undefined && { save_model_format: format }),
        ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }),
      },
      // Its SkipLayerNormalization on WebGPU leaves out the inverse deviations that layerNorm's gradient reads (1.30.0).
      ...(device === "webgpu" && { optimization: { disable_specified_optimizers: "SkipLayerNormFusion" } }),
    },
    ...(onGpu ? { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, "gpu-buffer" as const])) } : {}),
  };
}

const LOG_FATAL = 4;

function remedy(device: Device, message: string): string {
  if (device === "webgpu" && /adapter/i.test(message)) {
    return ' It needs the driver of a GPU for Vulkan (Linux), Metal (macOS) or Direct3D 12 (Windows); install one, or use device "cpu".';
  }
  if (device === "cuda" && /Cuda|shared library|provider/i.test(message)) {
    return (
      " It needs an NVIDIA driver, CUDA, cuDNN 9 and ONNX Runtime's CUDA files: see `pipeline doctor --build-cuda python3`, " +
      'or use device "cpu" or "webgpu".'
    );
  }
  return device === "cpu" ? "" : ' Device "cpu" runs every program.';
}

export { ort };

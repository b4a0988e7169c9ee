/** ONNX Runtime in the worker: on WebGPU where the browser has it, as WebAssembly otherwise. */
import type { Device, Runtime, Site } from "../messages.ts";
import { loadAsset } from "./assets.ts";

type Ort = typeof import("onnxruntime-web");
export type Session = import("onnxruntime-web").InferenceSession;

export interface Loaded {
  ort: Ort;
  device: Device;
  threads: number;
}

/** What browsers have at `navigator.gpu`, as much as is asked here. */
interface Gpu {
  requestAdapter: () => Promise<{ isFallbackAdapter?: boolean; info?: { isFallbackAdapter?: boolean } } | null>;
}

/** The device that is asked for, or the best: WebGPU where there is a real one. One that only imitates it is slower than WebAssembly. */
export async function chooseDevice(asked: Device | "best"): Promise<Device> {
  if (asked !== "best") return asked;
  const { gpu } = navigator as Navigator & { gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.isFallbackAdapter && !adapter.info?.isFallbackAdapter ? "webgpu" : "wasm";
}

/** Loads the runtime for a device; as many threads as there are cores, up to four, where the page may share memory between them. */
export async function loadRuntime(site: Site, base: string, device: Device, onBytes: (bytes: number) => void): Promise<Loaded> {
  const { script, loader, program }: Runtime = site.runtimes[device];
  const [ort, binary] = await Promise.all([
    import(new URL(script, base).href) as Promise<Ort>,
    loadAsset(program, base, onBytes), // kept by us, and so loaded once for good
  ]);
  const threads = crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency)) : 1;
  Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary: binary.buffer, wasmPaths: { mjs: new URL(loader, base).href } });
  return { ort, device, threads };
}

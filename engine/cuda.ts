/**
 * ONNX Runtime's CUDA provider as `pipeline doctor --build-cuda` has linked it: the files of PyPI's onnxruntime-gpu beside those of
 * onnxruntime-node, in a cache folder, and where NVIDIA's libraries lie. Imported before onnxruntime-node, it makes that package load from
 * there.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { buildsFolder, lastBuilt } from "./builds.ts";

/** What was linked, as built.json says it. */
export interface BuiltCuda {
  /** Path of the addon, whose folder holds ONNX Runtime and the provider. */
  addon: string;
  /** The version of ONNX Runtime that all of them have. */
  version: string;
  /** NVIDIA's libraries in the order in which they are opened. */
  libraries: string[];
}

/**
 * The folder that CUDA builds lie in: ONESTEP_CUDA, or one in the user's cache; undefined where there is no cache.
 *
 * @example
 * import { cudaFolder } from "./cuda.ts";
 * assert.equal(cudaFolder({ ONESTEP_CUDA: "/opt/cuda" }), "/opt/cuda");
 */
export function cudaFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  return buildsFolder("cuda", environment);
}

/**
 * What was linked last, for the onnxruntime-node that is installed; undefined where nothing was, or for another version.
 *
 * @example
 * import { builtCuda } from "./cuda.ts";
 * assert.equal(builtCuda("/nowhere"), undefined);
 */
export function builtCuda(folder = cudaFolder()): BuiltCuda | undefined {
  const built = lastBuilt<BuiltCuda>(folder);
  if (!built) return undefined;
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return built.version === version && existsSync(built.addon) ? built : undefined;
}

/** The file that puts a build in place, for a child process that tries it: `useAddon(addon)` and `openLibraries(libraries)`. */
export const CUDA_RUNTIME = fileURLToPath(new URL("./cuda-runtime.cjs", import.meta.url));

interface Runtime {
  useAddon: (addon: string) => void;
  openLibraries: (libraries: readonly string[]) => void;
}
const built = builtCuda();
const runtime = built && (createRequire(import.meta.url)(CUDA_RUNTIME) as Runtime);
if (built) runtime?.useAddon(built.addon);

let isOpen = false;

/** Opens NVIDIA's libraries of the build, once; does nothing where there is none. Before the first session on device "cuda". */
export function openCuda(): void {
  if (!isOpen) runtime?.openLibraries(built?.libraries ?? []);
  isOpen = true;
}

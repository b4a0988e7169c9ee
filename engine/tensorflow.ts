/**
 * The user's own TensorFlow as a backend of TensorFlow.js: an addon that `pipeline doctor --build-tensorflow` has built against a
 * current TensorFlow, or else what tfjs-node installed by itself.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import util from "node:util";
import { isMainThread } from "node:worker_threads";
import { buildsFolder, lastBuilt } from "./builds.ts";
import type { TensorflowBackend } from "./tensorflow/backend.ts";
import { mendKernels } from "./tensorflow/kernels.ts";
import { tf, type KernelBackend } from "./tfjs.ts";

/** What was built, as built.json says it beside the addon. */
export interface BuiltTensorflow {
  /** Path of the native addon. */
  addon: string;
  /** The folder of the TensorFlow it is linked to, and that one's version. */
  tensorflow: string;
  version: string;
  /** Whether that TensorFlow was built for CUDA: it is meant to compute on a GPU. */
  isForGpu: boolean;
  /** The package that it was compiled from, with the backend's JavaScript. */
  package?: string;
}

/** The packages that hold the addon's sources and its JavaScript; they differ in name alone. */
const PACKAGES = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const;

/**
 * The command that installs one of them without its own script, which would fetch a TensorFlow of 2021. In a checkout, whose optional
 * peers they are, npm 11 does nothing without --save-prod.
 *
 * @example
 * import { installing } from "./tensorflow.ts";
 * assert.match(installing("@tensorflow/tfjs-node"), /^npm install .* @tensorflow\/tfjs-node$/);
 */
export const installing = (name: (typeof PACKAGES)[number]): string => `npm install --save-prod --ignore-scripts ${name}`;

const require = createRequire(import.meta.url);

/**
 * The folder that builds lie in: ONESTEP_TENSORFLOW, or one in the user's cache; undefined where there is no cache.
 *
 * @example
 * import { tensorflowFolder } from "./tensorflow.ts";
 * assert.equal(tensorflowFolder({ ONESTEP_TENSORFLOW: "/opt/built" }), "/opt/built");
 */
export function tensorflowFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  return buildsFolder("tensorflow", environment);
}

/**
 * What was built last, or undefined where nothing was.
 *
 * @example
 * import { builtTensorflow } from "./tensorflow.ts";
 * assert.equal(builtTensorflow("/nowhere"), undefined);
 */
export function builtTensorflow(folder = tensorflowFolder()): BuiltTensorflow | undefined {
  return lastBuilt(folder);
}

/**
 * The folder of tfjs-node(-gpu), wherever Node finds it from here; undefined where neither is installed.
 *
 * @example
 * import { tfjsNodeFolder } from "./tensorflow.ts";
 * assert.match(tfjsNodeFolder() ?? "tfjs-node", /tfjs-node/);
 */
export function tfjsNodeFolder(): string | undefined {
  for (const name of PACKAGES) {
    try {
      return dirname(require.resolve(`${name}/package.json`));
    } catch {} // the other one, perhaps
  }
  return undefined;
}

/**
 * The folder with the JavaScript that belongs to what was built; undefined where there is none.
 *
 * @example
 * import { packageOf } from "./tensorflow.ts";
 * assert.equal(packageOf({ addon: "", tensorflow: "", version: "", isForGpu: false, package: process.cwd() }), process.cwd());
 */
export function packageOf(built: BuiltTensorflow): string | undefined {
  return built.package !== undefined && existsSync(join(built.package, "package.json")) ? built.package : tfjsNodeFolder();
}

/**
 * Sets what TensorFlow reads from the environment, unless the user has: a worker's environment is a copy, so this counts in the
 * main thread alone, and before the first worker loads TensorFlow. `threads` is of the engine, 0 for one a core.
 *
 * @example
 * import { prepareTensorflow } from "./tensorflow.ts";
 * prepareTensorflow(2);
 * assert.ok(process.env.TF_NUM_INTRAOP_THREADS);
 */
export function prepareTensorflow(threads: number): void {
  if (!isMainThread) return;
  const wanted = {
    TF_CPP_MIN_LOG_LEVEL: "2", // errors alone
    TF_FORCE_GPU_ALLOW_GROWTH: "true", // one process takes nearly all of a GPU otherwise
    ...(threads > 0 && { TF_NUM_INTRAOP_THREADS: String(threads), TF_NUM_INTEROP_THREADS: "1" }),
  };
  for (const [name, value] of Object.entries(wanted)) process.env[name] ??= value;
}

/**
 * Registers the backend "tensorflow": what was built, else what tfjs-node(-gpu) brings. Returns what the user should know of it.
 * Throws an Error that says how to install or build it.
 */
export async function loadTensorflow(): Promise<readonly string[]> {
  if (tf.findBackendFactory("tensorflow")) return [];
  // tfjs-node 4.22 calls two functions that Node 23 took out.
  const old = util as unknown as Record<string, unknown>;
  old.isNullOrUndefined = (value: unknown): boolean => value === null || value === undefined;
  old.isArray = Array.isArray;
  const built = builtTensorflow();
  if (built) return loadBuilt(built);
  const problems: string[] = [];
  for (const name of PACKAGES) {
    try {
      await import(name);
      mendKernels(tf.findBackend("tensorflow") as unknown as TensorflowBackend);
      return [];
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  throw new Error(
    `Cannot use device "tensorflow": neither package of TensorFlow for Node loads (${problems.join("; ")}). ` +
      `Install one with \`${installing("@tensorflow/tfjs-node")}\` and build its addon with ` +
      "`pipeline doctor --build-tensorflow python3`, or use another device.",
  );
}

function loadBuilt(built: BuiltTensorflow): readonly string[] {
  const { addon, version, isForGpu } = built;
  const folder = packageOf(built);
  if (folder === undefined) {
    throw new Error(
      `Cannot use device "tensorflow": its addon is built (${addon}), but the package with its JavaScript is not installed. ` +
        `Run \`${installing("@tensorflow/tfjs-node")}\`, or use another device.`,
    );
  }
  try {
    const binding = require(addon);
    // The package may lie where another copy of TensorFlow.js is: loaded, that one would take the place of our kernels and gradients.
    const theirs = createRequire(join(folder, "package.json")).resolve("@tensorflow/tfjs");
    require.cache[theirs] = require.cache[require.resolve("@tensorflow/tfjs")];
    require(join(folder, "dist/register_all_kernels.js"));
    const { NodeJSKernelBackend } = require(join(folder, "dist/nodejs_kernel_backend.js"));
    const backend = new NodeJSKernelBackend(binding, "tensorflow") as KernelBackend & TensorflowBackend;
    tf.registerBackend("tensorflow", () => backend, 3);
    backend.isGPUPackage = backend.isUsingGpuDevice;
    mendKernels(backend);
    if (!isForGpu || backend.isUsingGpuDevice) return [];
    return [`TensorFlow ${version} is built for CUDA but found no GPU that it can use: device "tensorflow" computes on the CPU`];
  } catch (error) {
    throw new Error(
      `Cannot use device "tensorflow": what was built at ${addon} does not load (${(error as Error).message.split("\n")[0]}). ` +
        "Build it again with `pipeline doctor --build-tensorflow python3`, or use another device.",
      { cause: error },
    );
  }
}

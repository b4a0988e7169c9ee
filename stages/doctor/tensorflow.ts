/** Whether a built TensorFlow computes, and on what: tried in a child process, since a wrong library can end the process. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { type BuiltTensorflow, builtTensorflow, packageOf, tfjsNodeFolder } from "../../engine/tensorflow.ts";
import { Failure } from "../../schemas/failure.ts";
import { packageVersion } from "./versions.ts";

/**
 * Loads the addon, compares a product of matrices with its known result, a convolution "same" with sums in double precision, and
 * the gradient of its squares with Euler's rule for what is quadratic; prints the version and the device, or throws.
 */
const child = `
const util = require("node:util");
util.isNullOrUndefined = (value) => value === null || value === undefined;
util.isArray = Array.isArray;
const { createRequire } = require("node:module");
const { join } = require("node:path");
const [, folder, addon] = process.argv;
const load = createRequire(join(folder, "package.json"));
const tf = load("@tensorflow/tfjs");
tf.env().set("IS_TEST", true);
const binding = load(addon);
load("./dist/register_all_kernels.js");
const backend = new (load("./dist/nodejs_kernel_backend.js").NodeJSKernelBackend)(binding, "tensorflow");
tf.registerBackend("tensorflow", () => backend, 3);
const near = (what, found, wanted, tolerance) => {
  const error = Math.max(...wanted.map((value, i) => Math.abs(value - found[i]))) / Math.max(...wanted.map(Math.abs));
  if (!(error <= tolerance)) throw new Error("its " + what + " is off by " + error.toExponential(1));
};
(async () => {
  await tf.setBackend("tensorflow");
  const onGpu = backend.isUsingGpuDevice;
  const tolerance = onGpu ? 2e-3 : 1e-5; // TF32 on a GPU
  near("matmul", await tf.matMul([[1, 2], [3, 4]], [[1, 2], [3, 4]]).data(), [7, 10, 15, 22], tolerance);
  const [n, c, m] = [6, 2, 3];
  const value = (i) => Math.sin(i * 1.7 + 0.3);
  const x = Float32Array.from({ length: n * n * c }, (_, i) => value(i));
  const w = Float32Array.from({ length: 9 * c * m }, (_, i) => value(i + 999));
  const exact = [];
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) for (let o = 0; o < m; o++) {
    let sum = 0;
    for (let p = 0; p < 3; p++) for (let q = 0; q < 3; q++) for (let k = 0; k < c; k++) {
      const [a, b] = [i + p - 1, j + q - 1];
      if (a >= 0 && a < n && b >= 0 && b < n) sum += x[(a * n + b) * c + k] * w[((p * 3 + q) * c + k) * m + o];
    }
    exact.push(sum);
  }
  const filter = tf.tensor(w, [3, 3, c, m]);
  const convolve = (f) => tf.conv2d(tf.tensor(x, [1, n, n, c]), f, 1, "same");
  near("conv2d", await convolve(filter).data(), exact, tolerance);
  const gradient = tf.grad((f) => tf.sum(tf.square(convolve(f))))(filter);
  const twice = await tf.sum(tf.mul(gradient, filter)).data();
  near("gradient of conv2d", twice, [2 * exact.reduce((sum, v) => sum + v * v, 0)], 2 * tolerance);
  console.log("ready " + JSON.stringify({ version: binding.TF_Version, device: onGpu ? "GPU" : "CPU" }));
})().catch((error) => console.log(error.message)).finally(() => process.exit());
`;

/** What a built TensorFlow computes on, or why it does not, in one line. */
export type Answer = { version: string; device: "CPU" | "GPU" } | { problem: string };

/** Tries an addon with the package in the folder, in at most two minutes: the first start on a GPU compiles its kernels. */
export async function tryTensorflow(addon: string, folder: string, signal?: AbortSignal): Promise<Answer> {
  const environment = { TF_CPP_MIN_LOG_LEVEL: "2", TF_FORCE_GPU_ALLOW_GROWTH: "true", ...process.env };
  return new Promise((resolve, reject) => {
    const how = { signal, timeout: 120_000, killSignal: "SIGKILL", env: environment } as const;
    execFile(process.execPath, ["-e", child, folder, addon], how, (error, stdout, stderr) => {
      if (signal?.aborted) return reject(signal.reason);
      const answer = stdout.trim().split("\n").at(-1) as string;
      if (answer.startsWith("ready ")) return resolve(JSON.parse(answer.slice("ready ".length)));
      if (error?.killed) return resolve({ problem: "no answer within 120 s" });
      const thrown = /^\w*Error: (.*)$/m.exec(stderr)?.[1];
      resolve({ problem: (answer || thrown || `the process ended with ${error?.signal ?? error?.code}`).slice(0, 300) });
    });
  });
}

/** What is said of a GPU that was meant and is not used. */
const unused = ({ isForGpu }: BuiltTensorflow): string => (isForGpu ? " though it is built for CUDA: it found no GPU that it can use" : "");

/** A line on the device "tensorflow" for people: what was built and on what it computes, or what to do. */
export async function tensorflowInWords(signal?: AbortSignal): Promise<string> {
  const built = builtTensorflow();
  const folder = built ? packageOf(built) : tfjsNodeFolder();
  if (folder === undefined) return "not installed (optional peer @tensorflow/tfjs-node-gpu)";
  if (built === undefined) {
    const name = folder.endsWith("-gpu") ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node";
    return `${name} ${packageVersion(name) ?? "without its addon"}, nothing built: see doctor --build-tensorflow`;
  }
  const answer = await tryTensorflow(built.addon, folder, signal);
  if ("problem" in answer) return `built, but ${answer.problem}; build it again with doctor --build-tensorflow`;
  return `ready, TensorFlow ${answer.version} on the ${answer.device}${answer.device === "CPU" ? unused(built) : ""}`;
}

/** Where a GPU was meant and is not used, a sentence that says so; throws a Failure where what was built does not load at all. */
export async function tensorflowWarning(signal?: AbortSignal): Promise<string | undefined> {
  const built = builtTensorflow();
  const folder = built?.isForGpu ? packageOf(built) : undefined;
  if (built === undefined || folder === undefined) return undefined;
  const answer = await tryTensorflow(built.addon, folder, signal);
  if ("problem" in answer) {
    throw new Failure(
      `Cannot use device "tensorflow" as built at ${built.addon}: ${answer.problem}; build it anew by pipeline doctor --build-tensorflow`,
    );
  }
  return answer.device === "GPU" ? undefined : `device "tensorflow" computes on the CPU${unused(built)}`;
}

/** Node's C headers: beside its own program, or those of the package node-api-headers; undefined where there are none. */
export function nodeHeaders(): string | undefined {
  const { resolve } = createRequire(import.meta.url);
  try {
    return resolve("node-api-headers/include/node_api.h");
  } catch {
    return undefined;
  }
}

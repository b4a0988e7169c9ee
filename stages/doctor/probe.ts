/** Whether a device can run a program at all: tried in a child process, since a broken driver can end the process. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { builtCuda, CUDA_RUNTIME } from "../../engine/cuda.ts";
import { encodeModel } from "../../engine/onnx.ts";

/** Doubles four numbers on the device and prints the result; `ready 2,4,6,8` is the only good answer. */
const child = `
const [, runtime, device, model, prepare, built] = process.argv;
if (built) {
  const [{ useAddon, openLibraries }, { addon, libraries }] = [require(prepare), JSON.parse(built)];
  openLibraries(libraries);
  useAddon(addon);
}
const { InferenceSession, Tensor } = require(runtime);
InferenceSession.create(Buffer.from(model, "base64"), { executionProviders: [device], logSeverityLevel: 3 })
  .then((session) => session.run({ x: new Tensor("float32", Float32Array.of(1, 2, 3, 4), [4]) }))
  .then(({ y }) => console.log("ready " + Array.from(y.data)))
  .catch((error) => console.log(error.message))
  .finally(() => process.exit());
`;

/** What is said where there is no driver, or no card behind it. */
const NO_CUDA = /libcuda\.so\.1: cannot open|CUDA failure 100\b|no CUDA-capable device|CUDA failure 35\b/;

/** "ready", or why the device cannot be used, in one line. */
export async function probe(
  device: "webgpu" | "cuda",
  { signal, seconds = 20 }: { signal?: AbortSignal; seconds?: number } = {},
): Promise<string> {
  const model = encodeModel({
    inputs: [{ name: "x", shape: [4], dtype: "float32" }],
    outputs: [{ name: "y", shape: [4], dtype: "float32" }],
    nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"], attributes: {} }],
    constants: [],
  });
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const words = ["-e", child, runtime, device, Buffer.from(model).toString("base64")];
  const built = device === "cuda" ? builtCuda() : undefined;
  if (built) words.push(CUDA_RUNTIME, JSON.stringify(built));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, words, { signal, timeout: seconds * 1000, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (signal?.aborted) return reject(signal.reason);
      const answer = stdout
        .trim()
        .split("\n")
        .at(-1)!
        .replace(/^\S+onnxruntime_src.* was false\. /, ""); // where in its source
      if (answer === "ready 2,4,6,8") return resolve("ready");
      if (device === "cuda" && NO_CUDA.test(answer + stderr)) return resolve("no CUDA device");
      const [, library] = /with error: (.*)/.exec(stderr) ?? []; // what does not load, it says in its log alone
      if (library) return resolve(library.slice(0, 200));
      if (error?.killed) return resolve(`no answer within ${seconds} s`);
      resolve(answer.slice(0, 200) || `the process ended with ${error?.signal ?? error?.code}`);
    });
  });
}

/** Whether a device can run a program at all: tried in a child process, since a broken driver can end the process. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { encodeModel } from "../../engine/onnx.ts";

/** Doubles four numbers on the device and prints the result; `ready 2,4,6,8` is the only good answer. */
const child = `
const [, runtime, device, model] = process.argv;
const { InferenceSession, Tensor } = require(runtime);
InferenceSession.create(Buffer.from(model, "base64"), { executionProviders: [device], logSeverityLevel: 4 })
  .then((session) => session.run({ x: new Tensor("float32", Float32Array.of(1, 2, 3, 4), [4]) }))
  .then(({ y }) => console.log("ready " + Array.from(y.data)))
  .catch((error) => console.log(error.message))
  .finally(() => process.exit());
`;

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
  return new Promise((resolve, reject) => {
    execFile(process.execPath, words, { signal, timeout: seconds * 1000, killSignal: "SIGKILL" }, (error, stdout) => {
      if (signal?.aborted) return reject(signal.reason);
      const answer = stdout
        .trim()
        .split("\n")
        .at(-1)!
        .replace(/^\S+onnxruntime_src.* was false\. /, ""); // where in its source
      if (answer === "ready 2,4,6,8") return resolve("ready");
      if (error?.killed) return resolve(`no answer within ${seconds} s`);
      resolve(answer.slice(0, 200) || `the process ended with ${error?.signal ?? error?.code}`);
    });
  });
}

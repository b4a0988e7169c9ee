// TensorFlow.js's CPU backend in double precision: its arrays of floats become arrays of doubles before it loads. `workerData` names a
// module and the function of it that answers messages.
import { parentPort, workerData } from "node:worker_threads";

globalThis.Float32Array = Float64Array;
if (!process.features.typescript) (await import("tsx/esm/api")).register();
const { tf } = await import("../../engine/tfjs.ts");
await tf.setBackend("cpu");
tf.env().platform.isTypedArray = ArrayBuffer.isView;
const { [workerData.answer]: answer } = await import(workerData.module);

parentPort.on("message", (request) => {
  try {
    parentPort.postMessage(answer(request));
  } catch (error) {
    parentPort.postMessage({ error: String(error?.stack ?? error) });
  }
});

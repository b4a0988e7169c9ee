// TensorFlow.js's CPU backend in double precision: its arrays of floats become arrays of doubles before it loads. `workerData` names a
// module and the function of it that answers messages.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";

globalThis.Float32Array = Float64Array;
const { ONESTEP_BUILT: built } = process.env; // by test/run.mjs
const root = new URL("../../", import.meta.url).href;
const runnable = ({ href }) => (built ? pathToFileURL(join(built, "apart", href.slice(root.length).replace(/ts$/, "js"))).href : href);
if (!built && !process.features.typescript) (await import("tsx/esm/api")).register();
const { tf } = await import(runnable(new URL("../../engine/tfjs.ts", import.meta.url)));
await tf.setBackend("cpu");
tf.env().platform.isTypedArray = ArrayBuffer.isView;
const { [workerData.answer]: answer } = await import(runnable(new URL(workerData.module)));

parentPort.on("message", (request) => {
  try {
    parentPort.postMessage(answer(request));
  } catch (error) {
    parentPort.postMessage({ error: String(error?.stack ?? error) });
  }
});

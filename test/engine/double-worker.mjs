// TensorFlow.js's CPU backend in double precision: its arrays of floats become arrays of doubles before it loads.
import { parentPort } from "node:worker_threads";

globalThis.Float32Array = Float64Array;
if (!process.features.typescript) (await import("tsx/esm/api")).register();
const { differences } = await import("./double.ts");

parentPort.on("message", (request) => {
  try {
    parentPort.postMessage(differences(request));
  } catch (error) {
    parentPort.postMessage({ error: String(error?.stack ?? error) });
  }
});

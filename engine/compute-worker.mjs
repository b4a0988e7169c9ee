// Entry of a compute worker. Where Node cannot strip types by itself, tsx does, and must be registered in each thread.
import { parentPort, workerData } from "node:worker_threads";

if (workerData.module.endsWith(".ts") && !process.features.typescript) (await import("tsx/esm/api")).register();
const { create } = await import(workerData.module);

const api = create(workerData.options);
let last = api.catch(() => {}); // one call at a time, in order; a failed start is reported by the first call

let leaving = false; // calls that waited behind the one under way are not begun
parentPort.on("message", ({ id, method, argument }) => {
  leaving ||= method === "leave";
  last = last.then(async () => {
    if (leaving) return parentPort.close();
    try {
      const methods = await api;
      const result = method === "" ? undefined : await methods[method](argument);
      parentPort.postMessage({ id, result });
    } catch (error) {
      // Structured cloning keeps an error's message and stack only; what else it carries goes beside it.
      parentPort.postMessage({ id, error, details: { name: error?.name, ...error } });
    }
  });
});

// Entry of a compute worker. Where Node cannot strip types by itself, tsx does, and must be registered in each thread.
import { parentPort, workerData } from "node:worker_threads";

const hasTypes = [workerData.module, workerData.transferables].some((href) => href.endsWith(".ts"));
if (hasTypes && !process.features.typescript) (await import("tsx/esm/api")).register();
const { transferables } = await import(workerData.transferables);
const { create } = await import(workerData.module);

const api = create(workerData.options);
let last = api.catch(() => {}); // one call at a time, in order; a failed start is reported by the first call

let leaving = false; // calls that waited behind the one under way are not begun
const cancelled = new Set();
parentPort.on("message", ({ id, method, argument }) => {
  if (method === "cancel") return cancelled.add(id);
  leaving ||= method === "leave";
  last = last.then(async () => {
    if (leaving) return parentPort.close ? parentPort.close() : process.exit(); // Deno's port has no close; this ends the thread
    if (cancelled.delete(id)) return parentPort.postMessage({ id, result: undefined });
    try {
      const methods = await api;
      const result = method === "" ? undefined : await methods[method](argument);
      parentPort.postMessage({ id, result }, transferables(result));
    } catch (error) {
      reject(id, error);
    }
    cancelled.delete(id); // it came too late
  });
});

/** Structured cloning keeps messages and stacks only; what else an error carries goes beside it, if it can go at all. */
function reject(id, error) {
  try {
    parentPort.postMessage({ id, error, carried: carriedBy(error) });
  } catch {
    const details = { name: error?.name };
    parentPort.postMessage({ id, error: new Error(String(error?.message ?? error)), carried: { details } });
  }
}

/** The fields (a code, a path) of an error, of what caused it and of those it gathers. */
function carriedBy(error, depth = 0) {
  if (!(error instanceof Error) || depth === 8) return {};
  const carried = { details: { name: error.name, ...error } };
  if (error.cause instanceof Error) carried.cause = carriedBy(error.cause, depth + 1);
  if (Array.isArray(error.errors)) carried.errors = error.errors.map((each) => ({ error: each, carried: carriedBy(each, depth + 1) }));
  return carried;
}

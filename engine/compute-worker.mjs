// Entry of a compute worker. Where Node cannot strip types by itself, tsx does, and must be registered in each thread.
import { parentPort, workerData } from "node:worker_threads";

const { module, parts } = workerData;
if ([module, ...Object.values(parts)].some((href) => href.endsWith(".ts")) && !process.features.typescript) {
  (await import("tsx/esm/api")).register();
}
const { transferables } = await import(parts.transferables);
const { disposeOfEngines } = await import(parts.living);
const { create } = await import(module);

/** Bytes outside V8's heap above which a thread is not kept: they would be held until the next worker's garbage is collected. */
const LARGE = 64 * 2 ** 20;

let api; // what `create` made, for one worker after the other
let last = Promise.resolve(); // one call at a time, in order
let leaving = false; // calls that waited behind the one under way are not begun
const cancelled = new Set();
parentPort.on("message", ({ id, method, argument }) => {
  if (method === "cancel") return cancelled.add(id);
  if (method === "end") return close();
  leaving ||= method === "leave";
  last = last.then(async () => {
    if (method === "leave") return leave();
    if (leaving) return;
    if (cancelled.delete(id)) return parentPort.postMessage({ id, result: undefined });
    try {
      if (method === "") api = await create(argument);
      const result = method === "" ? undefined : await api[method](argument);
      parentPort.postMessage({ id, result }, transferables(result));
    } catch (error) {
      reject(id, error);
    }
    cancelled.delete(id); // it came too late
  });
});

/** Ends the thread: Deno's port has no close. */
const close = () => (parentPort.close ? parentPort.close() : process.exit());

/** Offers the thread for another worker of the module where it is as good as new and small, and ends it otherwise. */
async function leave() {
  const isStarted = api !== undefined;
  api = undefined;
  const isClean = await disposeOfEngines().catch(() => false);
  if (!isStarted || !isClean || process.memoryUsage().external > LARGE) return close();
  cancelled.clear();
  leaving = false;
  parentPort.postMessage("left");
}

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

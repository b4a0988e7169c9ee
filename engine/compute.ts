/**
 * Runs a compute module in a worker thread, because ONNX Runtime's `run()` blocks the thread that calls it. The module
 * exports `create(options)`, which returns an object of async functions; the caller gets an object of the same shape.
 * Buffers in arguments are copied, or moved where `transfer` says so; those in results are moved, so a method hands
 * over what it returns.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { type CallMessage, type CallOptions, createCalls, END, LEAVE, LEFT, type ReplyMessage, START } from "./calls.ts";
import { withCarried } from "./carried.ts";
import { type ComputeError, computeErrors, isMemoryError } from "./compute-errors.ts";
import { keepIdle, takeIdle } from "./idle.ts";

export type { CallOptions, ComputeError };
export { transferables } from "./transferables.ts";

// biome-ignore lint/suspicious/noExplicitAny: the methods of a compute module are whatever it declares
export type Methods = Record<string, (argument: any) => Promise<unknown>>;

export interface Compute<Api extends Methods> {
  /** Calls are run one at a time, in order. At most `inFlight` are with the worker; others wait here, unsent. */
  call: <K extends keyof Api>(method: K, argument: Parameters<Api[K]>[0], options?: CallOptions) => Promise<Awaited<ReturnType<Api[K]>>>;
  /** Ends the worker and resolves when it has ended. Calls under way are rejected. */
  close: () => Promise<void>;
}

export interface ComputeOptions {
  /** What the worker is for, as errors name it: "teacher sampler". */
  name: string;
  /** As from `new URL("./trainer.ts", import.meta.url)`. */
  module: URL;
  /** The argument of the module's `create`. */
  options: unknown;
  /** Aborting it ends the worker; whatever waits on it is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Calls sent and not yet answered: 2 lets the worker go on without a pause, and holds the arguments of one more call. */
  inFlight?: number;
  /** Limit of the worker's JavaScript heap, which holds no tensors; Node's own otherwise. */
  heapMegabytes?: number;
}

const root = new URL("../", import.meta.url).href;

/**
 * The file to start from for a module of this package: in the published package everything is built JavaScript, this file too, and
 * in a checkout it may have been made beside the sources (test/run.mjs).
 */
function runnable(module: URL): URL {
  const script = module.href.replace(/\.ts$/, ".js");
  if (!import.meta.url.endsWith(".ts")) return new URL(script);
  const { ONESTEP_BUILT: folder = "" } = process.env;
  if (`${pathToFileURL(dirname(folder)).href}/` !== root || !module.href.startsWith(root)) return module;
  const built = pathToFileURL(join(folder, script.slice(root.length)));
  return existsSync(built) ? built : module;
}

/**
 * A worker at its heap's limit is ended by Node, which lets the heap grow by 16 MB until it has. Objects of the young generation may all
 * become old in one collection, and V8 aborts the process where they are more than that: measured always at 96, now and then at Node's 48.
 */
const YOUNG_MEGABYTES = 24;

let alive = 0;

/**
 * How many compute workers there are in this process. Ending it while one runs native code aborts with a stack dump.
 *
 * @example
 * import { computeWorkers } from "./compute.ts";
 * assert.equal(computeWorkers(), 0);
 */
export const computeWorkers = (): number => alive;

/**
 * Starts a compute module in a worker thread. Throws what its `create` throws, or a {@link ComputeError}.
 *
 * @example
 * import { startCompute } from "onestep/engine";
 * const module = new URL("data:text/javascript,export const create = async ({ by }) => ({ times: async (x) => x * by })");
 * const compute = await startCompute<{ times: (x: number) => Promise<number> }>({ name: "multiplier", module, options: { by: 3 } });
 * assert.equal(await compute.call("times", 14), 42);
 * await compute.close();
 */
export async function startCompute<Api extends Methods>(options: ComputeOptions): Promise<Compute<Api>> {
  const { name, module, signal, inFlight = 2, heapMegabytes } = options;
  signal?.throwIfAborted();
  const entry = new URL("./compute-worker.mjs", import.meta.url);
  const part = (file: string): string => runnable(new URL(file, import.meta.url)).href;
  const key = heapMegabytes ? undefined : runnable(module).href;
  const worker =
    (key ? takeIdle(key) : undefined) ??
    new Worker(entry, {
      workerData: { module: runnable(module).href, parts: { transferables: part("./transferables.ts"), living: part("./living.ts") } },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MEGABYTES, ...(heapMegabytes && { maxOldGenerationSizeMb: heapMegabytes }) },
    });
  const calls = createCalls({ inFlight, post: (message, transfer) => worker.postMessage(message, transfer) });
  const errors = computeErrors({ name, file: module.pathname });
  let isStarted = false;

  const end = (reason: unknown): void => {
    signal?.removeEventListener("abort", abort);
    calls.end(reason);
  };
  // A thread ended inside ONNX Runtime takes the process with it: the worker leaves by itself after the call under way.
  alive++;
  const tell = (method: string): void => worker.postMessage({ id: -1, method } satisfies CallMessage);
  let isTold = false;
  const leave = (): void => {
    if (!isTold) tell(LEAVE);
    isTold = true;
  };
  const abort = (): void => {
    end(signal?.reason);
    leave();
  };
  signal?.addEventListener("abort", abort, { once: true });

  const onMessage = (reply: ReplyMessage | typeof LEFT) => {
    if (reply === LEFT) return left();
    const call = calls.answered(reply.id);
    if (!("error" in reply)) return call?.resolve(reply.result as never);
    const error = withCarried(reply.error, reply.carried);
    call?.reject(isMemoryError(error) ? errors.outOfMemory(call, error) : error);
  };
  const onError = (cause: NodeJS.ErrnoException): void => {
    const call = calls.underWay();
    if (isMemoryError(cause)) end(errors.outOfMemory(call, cause));
    else end(isStarted ? errors.crashed(call, cause) : errors.notStarted(cause));
  };
  const onMessageError = (cause: Error): void => end(errors.notTaken(cause));
  const onExit = (code: number): void => {
    end(errors.left(calls.underWay(), code));
    settleGone();
  };
  let settleGone = (): void => {};
  const gone = new Promise<void>((resolve) => {
    settleGone = resolve;
  }).then(() => void alive--);
  const left = () => {
    worker.off("message", onMessage).off("error", onError).off("messageerror", onMessageError).off("exit", onExit);
    if (key && keepIdle(key, worker, () => tell(END))) return settleGone();
    worker.once("exit", settleGone);
    tell(END);
  };
  worker.on("message", onMessage).on("error", onError).on("messageerror", onMessageError).on("exit", onExit);

  const compute: Compute<Api> = {
    call: (method, argument, callOptions) => calls.request(method as string, argument, callOptions),
    close: async () => {
      end(errors.closed());
      leave();
      await gone;
    },
  };
  try {
    await calls.request(START, options.options); // resolves when the module's `create` has
    isStarted = true;
  } catch (error) {
    await compute.close();
    throw error;
  }
  return compute;
}

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
import { keepIdle, takeIdle } from "./idle.ts";

export { transferables } from "./transferables.ts";

// biome-ignore lint/suspicious/noExplicitAny: the methods of a compute module are whatever it declares
export type Methods = Record<string, (argument: any) => Promise<unknown>>;

export interface CallOptions {
  /**
   * Buffers to move instead of copying, once the call is sent. Until then the caller must leave them alone, and from then
   * on they are empty here. {@link transferables} collects all of an argument's that nobody else looks into.
   */
  transfer?: ArrayBuffer[];
  /** Gives up this one call: it is rejected with the signal's reason, and not begun where it has not been yet. */
  signal?: AbortSignal;
}

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

/** A failure of the worker as such, where an error of a method arrives as the method threw it. */
export interface ComputeError extends Error {
  name: "ComputeError";
  /** `memory`: it ran out of memory. `ended`: it crashed, left, or could not be loaded. */
  kind: "memory" | "ended";
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

/** Methods of messages that call none of the module's: `create`; leave; do not begin the call of that id; end the thread. */
const START = "";
const LEAVE = "leave";
const CANCEL = "cancel";
const END = "end";

/** What a worker says that has left and whose thread can serve another. */
const LEFT = "left";

export interface CallMessage {
  id: number;
  method: string;
  argument?: unknown;
}

export type ReplyMessage = { id: number; result: unknown } | { id: number; error: unknown; carried: Carried };

/** The fields of an error that cloning leaves behind, of what caused it and of those it gathers. */
interface Carried {
  details?: object;
  cause?: Carried;
  errors?: { error: unknown; carried: Carried }[];
}

interface Call extends CallMessage {
  transfer: ArrayBuffer[];
  resolve: (value: never) => void;
  reject: (reason: unknown) => void;
}

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
  const waiting: Call[] = [];
  const sent = new Map<number, Call>();
  let counter = 0;
  let started = false;
  let ended: { reason: unknown } | undefined;

  const end = (reason: unknown): void => {
    ended ??= { reason };
    signal?.removeEventListener("abort", abort);
    for (const { reject } of [...sent.values(), ...waiting.splice(0)]) reject(ended.reason);
    sent.clear();
  };
  // A thread ended inside ONNX Runtime takes the process with it: the worker leaves by itself after the call under way.
  alive++;
  const tell = (id: number, method: string): void => worker.postMessage({ id, method } satisfies CallMessage);
  let isTold = false;
  const leave = (): void => {
    if (!isTold) tell(-1, LEAVE);
    isTold = true;
  };
  const abort = (): void => {
    end(signal?.reason);
    leave();
  };
  signal?.addEventListener("abort", abort, { once: true });

  const send = (): void => {
    while (sent.size < inFlight && waiting.length > 0) {
      const { id, method, argument, transfer, ...call } = waiting.shift() as Call;
      try {
        worker.postMessage({ id, method, argument } satisfies CallMessage, transfer);
        sent.set(id, { id, method, transfer: [], ...call }); // the argument is the worker's now
      } catch (error) {
        call.reject(error); // it cannot be copied
      }
    }
  };
  const when = (call?: Call): string => {
    if (!call) return "between calls";
    return call.method === START ? "on starting" : `during "${call.method}"`;
  };
  const outOfMemory = (call: Call | undefined, cause: Error): ComputeError => {
    const size = /requested buffer of size (\d+)/.exec(cause.message)?.[1];
    const detail = size ? `, asking for ${size} bytes` : "";
    return computeError("memory", `Compute worker "${name}" ran out of memory ${when(call)}${detail}`, cause);
  };
  const onMessage = (reply: ReplyMessage | typeof LEFT) => {
    if (reply === LEFT) return left();
    const call = sent.get(reply.id);
    sent.delete(reply.id);
    send();
    if (!("error" in reply)) return call?.resolve(reply.result as never);
    const error = withCarried(reply.error, reply.carried);
    call?.reject(isMemoryError(error) ? outOfMemory(call, error) : error);
  };
  const onError = (cause: NodeJS.ErrnoException): void => {
    const [call] = sent.values();
    if (isMemoryError(cause)) end(outOfMemory(call, cause));
    else if (!started) end(computeError("ended", `Cannot start compute worker "${name}" from ${module.pathname}: ${cause.message}`, cause));
    else end(computeError("ended", `Compute worker "${name}" crashed ${when(call)}: ${cause.message}`, cause));
  };
  const onMessageError = (cause: Error): void => {
    end(computeError("ended", `Cannot take an answer of compute worker "${name}": ${cause.message}`, cause));
  };
  const onExit = (code: number): void => {
    const [call] = sent.values();
    end(computeError("ended", `Compute worker "${name}" ended with code ${code} ${when(call)}`));
    settleGone();
  };
  let settleGone = (): void => {};
  const gone = new Promise<void>((resolve) => {
    settleGone = resolve;
  }).then(() => void alive--);
  const left = () => {
    worker.off("message", onMessage).off("error", onError).off("messageerror", onMessageError).off("exit", onExit);
    if (key && keepIdle(key, worker, () => tell(-1, END))) return settleGone();
    worker.once("exit", settleGone);
    tell(-1, END);
  };
  worker.on("message", onMessage).on("error", onError).on("messageerror", onMessageError).on("exit", onExit);

  const request = (method: string, argument: unknown, { transfer = [], signal: given }: CallOptions = {}): Promise<never> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended.reason);
      if (given?.aborted) return reject(given.reason);
      const id = counter++;
      const cancel = (): void => {
        const at = waiting.findIndex((call) => call.id === id);
        if (at >= 0) waiting.splice(at, 1);
        else tell(id, CANCEL);
        reject(given?.reason);
      };
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          given?.removeEventListener("abort", cancel);
          settle(value);
        };
      given?.addEventListener("abort", cancel, { once: true });
      waiting.push({ id, method, argument, transfer, resolve: settled(resolve), reject: settled(reject) });
      send();
    });

  const compute: Compute<Api> = {
    call: (method, argument, callOptions) => request(method as string, argument, callOptions),
    close: async () => {
      end(new Error(`Compute worker "${name}" was closed`));
      leave();
      await gone;
    },
  };
  try {
    await request(START, options.options); // resolves when the module's `create` has
    started = true;
  } catch (error) {
    await compute.close();
    throw error;
  }
  return compute;
}

/** An error as it was thrown in the worker: its code and path, and those of what caused it, tell people what happened. */
function withCarried(error: unknown, { details, cause, errors }: Carried): Error {
  const whole = Object.assign(Object(error), details) as Error & { errors?: Error[] };
  if (cause) whole.cause = withCarried(whole.cause, cause);
  if (errors) whole.errors = errors.map((each) => withCarried(each.error, each.carried));
  return whole;
}

function computeError(kind: ComputeError["kind"], message: string, cause?: unknown): ComputeError {
  return Object.assign(new Error(message, { cause }), { name: "ComputeError" as const, kind });
}

/** Whether an error says that memory ran out: V8's heap, an ArrayBuffer, or an allocation of ONNX Runtime on any device. */
function isMemoryError({ code, message }: NodeJS.ErrnoException): boolean {
  return (
    code === "ERR_WORKER_OUT_OF_MEMORY" || /failed to allocate memory|bad_alloc|out of memory|array buffer allocation failed/i.test(message)
  );
}

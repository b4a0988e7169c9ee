/**
 * Runs a compute module in a worker thread, because ONNX Runtime's `run()` blocks the thread that calls it. The module
 * exports `create(options)`, which returns an object of async functions; the caller gets an object of the same shape.
 * Buffers in arguments and results are copied, or moved where `transfer` says so.
 */
import { Worker } from "node:worker_threads";

// biome-ignore lint/suspicious/noExplicitAny: the methods of a compute module are whatever it declares
export type Methods = Record<string, (argument: any) => Promise<unknown>>;

export interface Compute<Api extends Methods> {
  call: <K extends keyof Api>(
    method: K,
    argument: Parameters<Api[K]>[0],
    transfer?: ArrayBuffer[],
  ) => Promise<Awaited<ReturnType<Api[K]>>>;
  /** Ends the worker and resolves when it has ended. Calls under way are rejected. */
  close: () => Promise<void>;
}

/** The method of a message that asks the worker to leave. */
const LEAVE = "leave";

export interface CallMessage {
  id: number;
  method: string;
  argument: unknown;
}

export type ReplyMessage = { id: number; result: unknown } | { id: number; error: unknown; details: object };

let alive = 0;

/** How many compute workers there are in this process. Ending it while one runs native code aborts with a stack dump. */
export const computeWorkers = (): number => alive;

/**
 * Starts `module` (a URL, as from `new URL("./trainer.ts", import.meta.url)`) with `options` in a worker thread.
 * Aborting `signal` ends the worker; whatever waits on it is rejected with the signal's reason.
 */
export async function startCompute<Api extends Methods>(options: {
  module: URL;
  options: unknown;
  signal?: AbortSignal;
}): Promise<Compute<Api>> {
  const { module, signal } = options;
  signal?.throwIfAborted();
  const entry = new URL("./compute-worker.mjs", import.meta.url);
  // In the published package everything is built JavaScript, this file too.
  const href = import.meta.url.endsWith(".ts") ? module.href : module.href.replace(/\.ts$/, ".js");
  const worker = new Worker(entry, { workerData: { module: href, options: options.options } });
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (reason: unknown) => void }>();
  let counter = 0;
  let ended: { reason: unknown } | undefined;

  const end = (reason: unknown): void => {
    ended ??= { reason };
    signal?.removeEventListener("abort", abort);
    for (const { reject } of waiting.values()) reject(ended.reason);
    waiting.clear();
  };
  // A thread ended inside ONNX Runtime takes the process with it: the worker leaves by itself after the call under way.
  alive++;
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve())).then(() => void alive--);
  const leave = (): void => worker.postMessage({ id: -1, method: LEAVE, argument: undefined } satisfies CallMessage);
  const abort = (): void => {
    end(signal?.reason);
    leave();
  };
  signal?.addEventListener("abort", abort, { once: true });
  worker.on("message", (reply: ReplyMessage) => {
    const call = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ("error" in reply) call?.reject(Object.assign(Object(reply.error), reply.details));
    else call?.resolve(reply.result as never);
  });
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`Compute worker for ${module.pathname} ended with code ${code}`)));

  const request = (method: string, argument: unknown, transfer: ArrayBuffer[] = []): Promise<never> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended.reason);
      const id = counter++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, method, argument } satisfies CallMessage, transfer);
    });

  const compute: Compute<Api> = {
    call: (method, argument, transfer) => request(method as string, argument, transfer),
    close: async () => {
      end(new Error(`Compute worker for ${module.pathname} was closed`));
      leave();
      await exited;
    },
  };
  try {
    await request("", undefined); // resolves when the module's `create` has
  } catch (error) {
    await compute.close();
    throw error;
  }
  return compute;
}

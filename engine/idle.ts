/**
 * Threads of compute workers that were closed and are kept for the next worker of the same module: a start takes 0.3 to 0.5 s of a
 * processor for loading alone, and a study starts a hundred. A thread that idles does not keep the process alive.
 */
import type { Worker } from "node:worker_threads";

/** How long a thread may idle: pipelines close one worker and start the next within moments. */
const IDLE_SECONDS = 20;

interface Idle {
  worker: Worker;
  /** Forgets the thread: it is taken, or it has ended. */
  forget: () => void;
}

const idle = new Map<string, Idle>();

/** Keeps a thread that has loaded `module` and runs nothing, and says whether it did: one for each module is enough. */
export function keepIdle(module: string, worker: Worker, end: () => void): boolean {
  if (idle.has(module)) return false;
  const timer = setTimeout(() => {
    forget();
    end();
  }, 1000 * IDLE_SECONDS).unref();
  const forget = (): void => {
    clearTimeout(timer);
    worker.off("exit", forget).off("error", forget);
    if (idle.get(module)?.worker === worker) idle.delete(module);
  };
  worker.on("exit", forget).on("error", forget);
  worker.unref();
  idle.set(module, { worker, forget });
  return true;
}

/** The idle thread of a module, whose owner the caller becomes; undefined where there is none. */
export function takeIdle(module: string): Worker | undefined {
  const found = idle.get(module);
  found?.forget();
  found?.worker.ref();
  return found?.worker;
}

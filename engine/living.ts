/** The engines of a compute worker that are not disposed of yet: its thread can serve another worker only without them. */
import { isMainThread } from "node:worker_threads";

interface Living {
  device: string;
  dispose: () => Promise<void>;
}

const living = new Set<Living>();

/** The same engine, known to `disposeOfEngines` until it is disposed of; in the main thread that is left to who made it. */
export function asLiving<E extends Living>(engine: E): E {
  if (isMainThread) return engine;
  const known = {
    ...engine,
    dispose: () => {
      living.delete(known);
      return engine.dispose();
    },
  };
  living.add(known);
  return known;
}

/**
 * Releases what the engines of this thread hold. Says whether the thread is as good as new: other devices keep state of their own.
 *
 * @public compute-worker.mjs loads it by its path
 */
export async function disposeOfEngines(): Promise<boolean> {
  const engines = [...living];
  await Promise.all(engines.map((engine) => engine.dispose()));
  return engines.every(({ device }) => device === "cpu");
}

/** How the engines of a `run` share the machine: each has its own threads, and together they have no more than there are. */
import { availableParallelism } from "node:os";
import type { Compute, Methods } from "../../engine/compute.ts";
import type { EngineSettings, Settings } from "../../schemas/settings.ts";

/** Threads that a job may use now. It grows when a job beside it ends. */
export type Share = () => number;

export interface Division {
  ingest: number;
  simulate: number;
  train: Share;
  /** Frees the threads of a job that has ended. */
  ended: (job: "ingest" | "simulate") => void;
}

/**
 * Divides `engine.threads` (0: as many as the machine runs at once) among jobs that run side by side. Simulation has half
 * of them, rounded down; a network that encodes images has one; training has what they leave, and more as they end. Each
 * has one at least, so on two cores three engines overlap until ingest ends. `simulate.threads` and `train.threads`
 * overrule it.
 */
export function divideThreads(settings: Settings, options: { encodes: boolean; cores?: number }): Division {
  const { encodes, cores = availableParallelism() } = options;
  const total = settings.engine.threads || cores;
  const taken = { ingest: encodes ? 1 : 0, simulate: settings.simulate.threads || Math.max(1, Math.floor(total / 2)) };
  return {
    ingest: 1,
    simulate: taken.simulate,
    train: () => settings.train.threads || Math.max(1, total - taken.ingest - taken.simulate),
    ended: (job) => void (taken[job] = 0),
  };
}

/** The engine's settings with another number of threads; 0 leaves those they have. */
export const withThreads = (engine: EngineSettings, threads = 0): EngineSettings => ({
  ...engine,
  threads: threads || engine.threads,
});

/** Threads of each of several workers that share so many; 0 are as many as the machine runs at once. */
export function threadsOfEach(threads: number, workers: number): number {
  return workers === 1 ? threads : Math.max(1, Math.floor((threads || availableParallelism()) / workers));
}

/**
 * A trainer's worker that moves to one with more threads, state and all, before the first step for which `threads` answers
 * another number. The bits of the training do not depend on it.
 */
export async function startGrowing<Api extends Methods>(options: {
  threads: Share;
  start: (threads: number) => Promise<Compute<Api>>;
  onGrown?: (threads: number) => void;
}): Promise<Compute<Api>> {
  const { threads, start, onGrown } = options;
  let present = threads();
  let compute = await start(present);

  async function grow(): Promise<void> {
    const state = await compute.call("save", undefined as never);
    await compute.close();
    present = threads();
    compute = await start(present);
    await compute.call("load", state as never);
    onGrown?.(present);
  }

  return {
    call: (method, ...rest) => {
      if (method !== "step" || threads() === present) return compute.call(method, ...rest);
      return grow().then(() => compute.call(method, ...rest));
    },
    close: () => compute.close(),
  };
}

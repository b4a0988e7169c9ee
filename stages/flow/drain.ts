import type { Observable } from "rxjs";
import { createScope, openDemand } from "./demand.ts";
import { withDemand } from "./flow.ts";
import { stage } from "./stage.ts";

/**
 * Runs a flow to its end, handing each item to `sink`, one at a time and in order; at most `capacity` (1) items wait
 * for it. Resolves when the flow has completed; rejects with its first error, or with the signal's reason. Either way
 * only after everything upstream has finished: work in flight, and the `finally` of every source.
 *
 * @example
 * import { drain, pull } from "onestep/flow";
 * let sum = 0;
 * await drain(pull(() => [1, 2, 3]), { sink: (value) => void (sum += value) });
 * assert.equal(sum, 6);
 */
export async function drain<T>(
  source: Observable<T>,
  options: {
    sink?: (item: T, signal: AbortSignal) => void | Promise<void>;
    signal?: AbortSignal;
    capacity?: number;
  } = {},
): Promise<void> {
  const { sink, signal, capacity = 1 } = options;
  signal?.throwIfAborted();
  const scope = createScope();
  const work = async (item: T, stop: AbortSignal): Promise<never[]> => {
    await sink?.(item, stop);
    return [];
  };
  const flow = source.pipe(stage({ name: "drain", capacity, concurrency: 1, work }));
  let stop = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      const running = withDemand(flow, openDemand(scope.track), "drain").subscribe({
        complete: resolve,
        error: reject,
      });
      stop = () => {
        running.unsubscribe();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
    });
  } finally {
    signal?.removeEventListener("abort", stop);
    await scope.settled();
  }
  const failure = scope.failure();
  if (failure) throw failure.error;
}

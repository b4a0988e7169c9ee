import type { Observable } from "rxjs";
import { createCredits, createScope } from "./demand.ts";
import { withDemand } from "./flow.ts";

/**
 * Reads a flow with `for await`. The item in the reader's hands counts: with `capacity` 1 (the default) the next one
 * is asked for only when the loop body is done. Leaving the loop stops the flow and waits for its clean-up; an abort
 * throws the signal's reason into the loop.
 *
 * @example
 * import { iterate, pull } from "onestep/flow";
 * const seen: number[] = [];
 * for await (const value of iterate(pull(() => [1, 2, 3]))) seen.push(value);
 * assert.deepEqual(seen, [1, 2, 3]);
 */
export async function* iterate<T>(
  source: Observable<T>,
  { signal, capacity = 1 }: { signal?: AbortSignal; capacity?: number } = {},
): AsyncGenerator<T, void, undefined> {
  signal?.throwIfAborted();
  const scope = createScope();
  const credits = createCredits({ capacity, track: scope.track });
  const ready: T[] = [];
  let end: { error?: unknown } | undefined;
  let wake = () => {};
  const finish = (reason: { error?: unknown }) => {
    end ??= reason;
    wake();
  };
  const stop = () => finish({ error: signal?.reason });
  signal?.addEventListener("abort", stop, { once: true });
  const running = withDemand(source, credits, "iterate").subscribe({
    next(item) {
      credits.arrive(1);
      ready.push(item);
      wake();
    },
    error: (error) => finish({ error }),
    complete: () => finish({}),
  });
  try {
    while (!signal?.aborted) {
      if (ready.length > 0) {
        yield ready.shift() as T;
        credits.leave(1);
      } else if (end) {
        break;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    running.unsubscribe();
    await scope.settled();
  }
  if (end && "error" in end) throw end.error;
  const failure = scope.failure();
  if (failure) throw failure.error;
}

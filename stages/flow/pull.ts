import { Observable } from "rxjs";
import { createFlow, type Flow } from "./flow.ts";

/**
 * A flow that asks an iterable for its next item only when there is room for it below. `iterate` is called once for
 * each subscription, with a signal that aborts when nobody wants more; the iterable's `finally` runs on completion,
 * error, abort and unsubscription alike, as soon as a pending `next()` settles (so long waits should heed the signal).
 *
 * @example
 * import { drain, pull } from "onestep/flow";
 * async function* lines() {
 *   yield "one";
 *   yield "two";
 * }
 * const seen: string[] = [];
 * await drain(pull(lines), { sink: (line) => void seen.push(line) });
 * assert.deepEqual(seen, ["one", "two"]);
 */
export function pull<T>(iterate: (signal: AbortSignal) => AsyncIterable<T> | Iterable<T>): Flow<T> {
  return createFlow(
    (demand) =>
      new Observable<T>((subscriber) => {
        const controller = new AbortController();
        const { signal } = controller;
        const produce = async () => {
          try {
            if (!(await demand.take(signal))) return;
            for await (const item of iterate(signal)) {
              if (signal.aborted) break;
              subscriber.next(item);
              if (!(await demand.take(signal))) break;
            }
            subscriber.complete();
          } catch (error) {
            if (!signal.aborted) subscriber.error(error);
            else if (!isAbort(error, signal)) throw error;
          }
        };
        subscriber.add(() => controller.abort());
        demand.track(produce());
      }),
  );
}

/** Whether an error only says that the work was told to stop. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

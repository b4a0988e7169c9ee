import { Observable, type OperatorFunction } from "rxjs";
import { createCredits } from "./demand.ts";
import { createFlow, withDemand } from "./flow.ts";

/**
 * Groups items into arrays of `size`, the last one shorter. Holds at most `size` items.
 *
 * @example
 * import { batch, drain, pull } from "onestep/flow";
 * const seen: number[][] = [];
 * await drain(pull(() => [1, 2, 3]).pipe(batch(2)), { sink: (items) => void seen.push(items) });
 * assert.deepEqual(seen, [[1, 2], [3]]);
 */
export function batch<T>(size: number): OperatorFunction<T, T[]> {
  return (source) =>
    createFlow(
      (demand) =>
        new Observable<T[]>((subscriber) => {
          const controller = new AbortController();
          const credits = createCredits({ capacity: size, track: demand.track });
          let items: T[] = [];
          let ended = false; // upstream completed

          const send = async () => {
            if (!(await demand.take(controller.signal))) return;
            const full = items;
            items = [];
            subscriber.next(full);
            credits.leave(full.length);
            if (ended) subscriber.complete();
          };

          subscriber.add(() => controller.abort());
          subscriber.add(
            withDemand(source, credits, "batch").subscribe({
              next(item) {
                credits.arrive(1);
                items.push(item);
                if (items.length >= size) demand.track(send());
              },
              error: (error) => subscriber.error(error),
              complete() {
                ended = true;
                if (items.length === 0) subscriber.complete();
                else if (items.length < size) demand.track(send());
              },
            }),
          );
        }),
    );
}

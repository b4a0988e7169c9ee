import { Observable, type OperatorFunction } from "rxjs";
import { createCredits } from "./demand.ts";
import { createFlow, withDemand } from "./flow.ts";

/** Groups items into arrays of `size`, the last one shorter. Holds at most `size` items. */
export function batch<T>(size: number): OperatorFunction<T, T[]> {
  return batchBy({ limit: size, weigh: () => 1 });
}

/** Groups items into arrays, closed as soon as they weigh `limit` or more; holds one. The last may be lighter. */
export function batchBy<T>({ limit, weigh }: { limit: number; weigh: (item: T) => number }): OperatorFunction<T, T[]> {
  return (source) =>
    createFlow(
      (demand) =>
        new Observable<T[]>((subscriber) => {
          const controller = new AbortController();
          const credits = createCredits({ capacity: limit, track: demand.track });
          let items: T[] = [];
          let weight = 0;
          let ended = false; // upstream completed

          const send = async () => {
            if (!(await demand.take(controller.signal))) return;
            const full = items;
            const left = weight;
            items = [];
            weight = 0;
            subscriber.next(full);
            credits.leave(left);
            if (ended) subscriber.complete();
          };

          subscriber.add(() => controller.abort());
          subscriber.add(
            withDemand(source, credits, "batch").subscribe({
              next(item) {
                const added = weigh(item);
                credits.arrive(added);
                items.push(item);
                weight += added;
                if (weight >= limit) demand.track(send());
              },
              error: (error) => subscriber.error(error),
              complete() {
                ended = true;
                if (items.length === 0) subscriber.complete();
                else if (weight < limit) demand.track(send());
              },
            }),
          );
        }),
    );
}

import { Observable, type OperatorFunction } from "rxjs";
import { createCredits } from "./demand.ts";
import { createFlow, withDemand } from "./flow.ts";

export interface StageOptions<T, R> {
  /** Names the stage in errors. */
  name: string;
  /** How many items it may hold: waiting, at work, or done and not yet wanted below. With `weigh`, how much weight. */
  capacity: number;
  /** How many items are worked on at once; all it holds unless told. */
  concurrency?: number;
  /** Whether results leave in the order the items came (the default), or as soon as they are done. */
  ordered?: boolean;
  /** The weight of an item, in bytes for instance; the heaviest may overshoot `capacity` once. */
  weigh?: (item: T) => number;
  /** One result; or an array of them, which may be empty. `signal` aborts when the result is no longer wanted. */
  work: (item: T, signal: AbortSignal) => R | R[] | Promise<R | R[]>;
}

/**
 * An operator with a bound: it holds at most `capacity` items, from their arrival until their last result has left.
 * Each result waits for the subscriber's own demand. The first error anywhere ends the flow; later ones are dropped.
 *
 * @example
 * import { drain, pull, stage } from "onestep/flow";
 * const square = stage({ name: "square", capacity: 2, work: async (x: number) => x * x });
 * const seen: number[] = [];
 * await drain(pull(() => [1, 2, 3]).pipe(square), { sink: (value) => void seen.push(value) });
 * assert.deepEqual(seen, [1, 4, 9]);
 */
export function stage<T, R>(options: StageOptions<T, R>): OperatorFunction<T, R> {
  const { name, capacity, concurrency = Number.POSITIVE_INFINITY, ordered = true, weigh = () => 1, work } = options;
  return (source) =>
    createFlow(
      (demand) =>
        new Observable<R>((subscriber) => {
          interface Held {
            item: T;
            weight: number;
            results?: R[];
          }
          const controller = new AbortController();
          const { signal } = controller;
          const credits = createCredits({ capacity, track: demand.track });
          const waiting: Held[] = []; // arrived, not started
          const line: Held[] = []; // in the order of departure: all that arrived when ordered, else those done
          let inside = 0; // arrived and not left
          let working = 0;
          let ended = false; // upstream completed
          let sending = false;

          const start = () => {
            while (!signal.aborted && working < concurrency && waiting.length > 0) {
              working++;
              demand.track(run(waiting.shift() as Held));
            }
          };

          const run = async (held: Held) => {
            try {
              const result = await work(held.item, signal);
              held.results = Array.isArray(result) ? result : [result];
              if (!ordered) line.push(held);
              working--;
              start();
              await send();
            } catch (error) {
              subscriber.error(error);
            }
          };

          const send = async () => {
            if (sending) return;
            sending = true;
            while (line[0]?.results && !signal.aborted) {
              const { results, weight } = line[0];
              for (const result of results) {
                if (!(await demand.take(signal))) return;
                subscriber.next(result);
              }
              line.shift();
              inside--;
              credits.leave(weight);
            }
            sending = false;
            if (ended && inside === 0) subscriber.complete();
          };

          subscriber.add(() => controller.abort());
          subscriber.add(
            withDemand(source, credits, name).subscribe({
              next(item) {
                const held: Held = { item, weight: weigh(item) };
                credits.arrive(held.weight);
                inside++;
                if (ordered) line.push(held);
                waiting.push(held);
                start();
              },
              error: (error) => subscriber.error(error),
              complete() {
                ended = true;
                if (inside === 0) subscriber.complete();
              },
            }),
          );
        }),
    );
}

import { Observable, type OperatorFunction, Subject } from "rxjs";
import { createScope, type Demand, openDemand } from "./demand.ts";

const demanded = Symbol("demanded");

/**
 * An Observable that sends an item only against a credit of its subscriber. Subscribed to as a plain Observable it
 * runs freely, which is right for a subscriber that keeps nothing; `stage`, `batch`, `drain` and `iterate` bound it.
 */
export interface Flow<T> extends Observable<T> {
  readonly [demanded]: (demand: Demand) => Observable<T>;
}

/** A flow from a function that makes the Observable which obeys the given demand. */
export function createFlow<T>(observe: (demand: Demand) => Observable<T>): Flow<T> {
  const free = new Observable<T>((subscriber) => observe(openDemand(createScope().track)).subscribe(subscriber));
  return Object.assign(free, { [demanded]: observe });
}

/** The flow's items under `demand`. Throws a TypeError where `source` is an Observable that cannot be held back. */
export function withDemand<T>(source: Observable<T>, demand: Demand, name: string): Observable<T> {
  const observe = (source as Partial<Flow<T>>)[demanded];
  if (observe) return observe(demand);
  throw new TypeError(
    `Cannot connect "${name}": its source is a plain Observable, which nothing can slow down; start with pull(...) ` +
      "and wrap RxJS operators in through(...)",
  );
}

/**
 * Uses a plain synchronous RxJS operator on a flow: `flow.pipe(through(map(f)), through(filter(g)), through(take(3)))`.
 * The operator may send at most one item for each it gets, before that call returns (map, filter, tap, scan, take,
 * distinct...); the credit of an item it swallows goes back. An operator that sends more, or later, is an error: use
 * `stage`.
 *
 * @example
 * import { filter } from "rxjs";
 * import { drain, pull, through } from "onestep/flow";
 * const seen: number[] = [];
 * const odd = pull(() => [1, 2, 3]).pipe(through(filter((value) => value % 2 === 1)));
 * await drain(odd, { sink: (value) => void seen.push(value) });
 * assert.deepEqual(seen, [1, 3]);
 */
export function through<T, R>(operator: OperatorFunction<T, R>): OperatorFunction<T, R> {
  return (source) =>
    createFlow(
      (demand) =>
        new Observable<R>((subscriber) => {
          const input = new Subject<T>();
          let credit = false; // an item is inside the operator, with the credit it came on
          subscriber.add(
            input.pipe(operator).subscribe({
              next(item) {
                if (!credit) return subscriber.error(new TypeError("through(...) takes operators that send at most one item for each"));
                credit = false;
                subscriber.next(item);
              },
              error: (error) => subscriber.error(error),
              complete: () => subscriber.complete(),
            }),
          );
          subscriber.add(
            withDemand(source, demand, "through").subscribe({
              next(item) {
                credit = true;
                input.next(item);
                if (!credit) return;
                credit = false;
                demand.giveBack();
              },
              error: (error) => input.error(error),
              complete: () => input.complete(),
            }),
          );
        }),
    );
}

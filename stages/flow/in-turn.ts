import type { OperatorFunction } from "rxjs";
import { stage } from "./stage.ts";

/** One part of what happens to an item: it hands the item on, changed or not. */
export type Turn<T, R> = (item: T, signal: AbortSignal) => R | Promise<R>;

/**
 * A stage of several parts, in lockstep: an item passes through all of them before the next one is taken. For parts that
 * share a state which the next item changes, such as a network in training.
 *
 * @example
 * import { drain, inTurn, pull } from "onestep/flow";
 * const seen: string[] = [];
 * const saying = (word: string) => (item: number) => void seen.push(`${word} ${item}`) ?? item;
 * const both = inTurn("both", saying("step"), saying("measure"), saying("record"), saying("keep"));
 * await drain(pull(() => [1, 2]).pipe(both));
 * assert.deepEqual(seen.slice(0, 5), ["step 1", "measure 1", "record 1", "keep 1", "step 2"]);
 */
export function inTurn<A, B, C, D, E>(name: string, ...turns: [Turn<A, B>, Turn<B, C>, Turn<C, D>, Turn<D, E>]): OperatorFunction<A, E> {
  const work = async (item: A, signal: AbortSignal): Promise<E> => {
    let current: unknown = item;
    for (const turn of turns as Turn<unknown, unknown>[]) current = await turn(current, signal);
    return current as E;
  };
  return stage({ name, capacity: 1, work });
}

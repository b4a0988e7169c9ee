import { setImmediate } from "node:timers/promises";

/**
 * The items of a generator, each made while the consumer is at work on the one before: it is asked for once the consumer
 * has had the thread to start that work. Leaving aborts the generator's signal and waits for it to end. Holds one item.
 */
export async function* ahead<T>(start: (signal: AbortSignal) => AsyncGenerator<T>, signal?: AbortSignal): AsyncGenerator<T> {
  const stop = new AbortController();
  const items = start(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal);
  let next = items.next();
  try {
    for (let item = await next; !item.done; item = await next) {
      next = setImmediate().then(() => items.next());
      next.catch(() => {}); // reported when it is awaited
      yield item.value;
    }
  } finally {
    stop.abort();
    await next.catch(() => {});
    await items.return(undefined);
  }
}

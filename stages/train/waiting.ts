/** How long a training waits for its data. */

export interface Waiting<T> {
  read: () => AsyncGenerator<T>;
  /** Share of the time since the first item was asked for that was spent on waiting, in percent; the first item not counted. */
  percent: () => number;
  /** Since when (as performance.now) an item has been asked for that has not come; undefined while the last one is at work. */
  since: () => number | undefined;
}

/** The items of a source, and how long each was waited for: the first one reads a whole window and does not count. */
export function waiting<T>(source: () => AsyncIterable<T>): Waiting<T> {
  let [began, waited] = [0, 0];
  let asked: number | undefined;
  return {
    read: async function* () {
      began = performance.now();
      asked = began;
      let counts = false;
      for await (const item of source()) {
        if (counts) waited += performance.now() - asked;
        counts = true;
        asked = undefined;
        yield item;
        asked = performance.now();
      }
    },
    percent: () => (100 * waited) / (performance.now() - began),
    since: () => asked,
  };
}

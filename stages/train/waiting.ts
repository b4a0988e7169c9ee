/** How long a training waits for its data. */

export interface Waiting<T> {
  read: () => AsyncGenerator<T>;
  /** Share of the time since the first item was asked for that was spent on waiting, in percent; the first item not counted. */
  percent: () => number;
}

/** The items of a source, and how long each was waited for: the first one reads a whole window and does not count. */
export function waiting<T>(source: () => AsyncIterable<T>): Waiting<T> {
  let [began, waited] = [0, 0];
  return {
    read: async function* () {
      began = performance.now();
      let asked = Number.NaN; // of an item that counts
      for await (const item of source()) {
        if (!Number.isNaN(asked)) waited += performance.now() - asked;
        yield item;
        asked = performance.now();
      }
    },
    percent: () => (100 * waited) / (performance.now() - began),
  };
}

/**
 * Demand: the half of a stream that RxJS lacks. A source takes one credit from its subscriber before it makes each
 * item; the subscriber owns the credits and hands one back when an item has left it. Each source works one item at a
 * time, so at most one credit is promised and at most one `take` waits.
 */
export interface Demand {
  /** Resolves to true once one more item may be sent, to false once `signal` aborts. */
  take(signal: AbortSignal): Promise<boolean>;
  /** Returns a credit for which no item came. */
  giveBack(): void;
  /** Makes whoever drains the graph wait for `task`, which may outlive the subscription. */
  track(task: Promise<unknown>): void;
}

/** Demand with a bound, and the subscriber's side of it. */
export interface Credits extends Demand {
  /** An item of this weight arrived on the credit promised to it. */
  arrive(weight: number): void;
  /** An item of this weight left. */
  leave(weight: number): void;
}

/** Clean-up that is still running, for all of one graph. */
export interface Scope {
  track(task: Promise<unknown>): void;
  /** Resolves when no tracked task is left. */
  settled(): Promise<void>;
  /** The first tracked task that rejected. */
  failure(): { error: unknown } | undefined;
}

/**
 * Credits for items that weigh `capacity` together. An item's weight is known only when it has come, so the last one
 * may overshoot: what is held stays below `capacity` plus the heaviest item, and at `capacity` when each weighs 1.
 */
export function createCredits({ capacity, track }: { capacity: number; track: Demand["track"] }): Credits {
  if (!(capacity > 0)) throw new RangeError(`Cannot hold items: "capacity" must be above zero, got ${capacity}`);
  let held = 0; // weight that arrived and has not left
  let promised = 0; // credits taken whose item has not arrived
  let wake: (() => void) | undefined; // the source that waits for room

  const free = () => held + promised < capacity;
  const wakeIfFree = () => {
    if (free()) wake?.();
  };

  return {
    track,
    async take(signal) {
      while (!signal.aborted && !free()) {
        await new Promise<void>((resolve) => {
          const stop = () => resolve();
          wake = () => {
            signal.removeEventListener("abort", stop);
            wake = undefined;
            resolve();
          };
          signal.addEventListener("abort", stop, { once: true });
        });
      }
      if (signal.aborted) return false;
      promised++;
      return true;
    },
    giveBack() {
      promised--;
      wakeIfFree();
    },
    arrive(weight) {
      promised--;
      held += weight;
    },
    leave(weight) {
      held -= weight;
      wakeIfFree();
    },
  };
}

/** Demand without a bound, for a subscriber that is done with an item when `next` returns. */
export function openDemand(track: Demand["track"]): Demand {
  return { track, take: async (signal) => !signal.aborted, giveBack() {} };
}

/** A scope whose first failure is kept until somebody asks. */
export function createScope(): Scope {
  let running = 0;
  let failed: { error: unknown } | undefined;
  const waiting: (() => void)[] = [];
  const done = () => {
    running--;
    if (running === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  return {
    track(task) {
      running++;
      task.then(done, (error) => {
        failed ??= { error };
        done();
      });
    },
    async settled() {
      while (running > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    failure: () => failed,
  };
}

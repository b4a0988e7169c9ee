/**
 * Gradients of several workers, added up in shared memory in the order of their micro-batches: which worker is done first does
 * not show in the sum. Each chunk of the sum has a ticket that says whose turn it is, so the workers pass over the sum one behind
 * the other, and one sum is all the memory that they share.
 */
import type { Variable } from "../../engine/variables.ts";
import { elements, type Weights } from "../../engine/weights.ts";

/** Numbers of a chunk: so many that a ticket costs nothing, so few that the next worker is soon let in. */
const CHUNK = 2 ** 20;

/** Scalars (loss, metrics) that a micro-batch may have: far more than any method's. */
const SCALARS = 256;

/** Below it a float32 is denormal. Sessions take those as zero (engine/session.ts), and so does the sum. */
const LEAST = 2 ** -126;

/** What every ticket says once a worker has failed or is about to leave. */
const STOPPED = -1;

/** Tickets count up to here and begin again. */
const COUNTED = 2 ** 30;

/** Milliseconds after which a worker that waits looks again by itself. */
const PATIENCE = 1000;

/** The place of the ticket that counts who has taken the sums so far; those of the chunks come after it. */
const TAKEN = 0;

/** Where the workers of one training meet. */
export interface Meeting {
  memory: SharedArrayBuffer;
  /** Micro-batches of an update. */
  parts: number;
  /** Chunks of the sum, and the numbers of each. */
  chunks: number;
  chunk: number;
}

/** One worker's side of the sum. All workers add to and take the same sums, in the same order. */
export interface SharedSum {
  worker: number;
  workers: number;
  /** Adds the gradient of micro-batch `part` once those before it are added, and leaves its scalars for all to see. */
  add: (part: number, gradient: Weights, scalars: readonly number[]) => Promise<void>;
  /**
   * Calls `use` with the sum over all micro-batches in the layout of `like`, and answers `count` scalars of each micro-batch. What `use` is
   * given is the shared memory itself: to be read, and not after it resolves.
   */
  take: (like: Readonly<Record<string, Variable>>, count: number, use: (sum: Weights) => Promise<void>) => Promise<Float32Array[]>;
}

/**
 * Shared memory for gradients of at most `size` numbers: 4 bytes each, however many workers there are.
 *
 * @example
 * import type { Weights } from "../../engine/weights.ts";
 * import { createMeeting, joinMeeting } from "./shared-sum.ts";
 * const meeting = createMeeting({ size: 1, parts: 2 });
 * const [one, two] = [0, 1].map((worker) => joinMeeting(meeting, { worker, workers: 2 }));
 * const gradient = (x: number) => ({ w: { shape: [1], data: Float32Array.of(x) } });
 * await Promise.all([two!.add(1, gradient(3), []), one!.add(0, gradient(4), [])]);
 * const sums: number[] = [];
 * const use = async ({ w }: Weights) => void sums.push(w!.data[0]!);
 * await Promise.all([one!.take(gradient(0), 0, use), two!.take(gradient(0), 0, use)]);
 * assert.equal(sums, [7, 7]);
 */
export function createMeeting({ size, parts, chunk = CHUNK }: { size: number; parts: number; chunk?: number }): Meeting {
  const chunks = Math.ceil(size / chunk);
  const bytes = 4 * (1 + chunks + parts * SCALARS + size);
  return { memory: new SharedArrayBuffer(bytes), parts, chunks, chunk };
}

/** The parts of the shared memory. */
function viewsOf({ memory, parts, chunks }: Meeting): { tickets: Int32Array; scalars: Float32Array; numbers: Float32Array } {
  const from = 4 * (1 + chunks);
  return {
    tickets: new Int32Array(memory, 0, 1 + chunks),
    scalars: new Float32Array(memory, from, parts * SCALARS),
    numbers: new Float32Array(memory, from + 4 * parts * SCALARS),
  };
}

/** Lets all that wait, and all that will, fail: a worker has failed or is about to leave. */
export function stopMeeting(meeting: Meeting): void {
  const { tickets } = viewsOf(meeting);
  for (let at = 0; at < tickets.length; at++) {
    Atomics.store(tickets, at, STOPPED);
    Atomics.notify(tickets, at);
  }
}

/** Joins the others as one of so many. What it returns throws an Error once {@link stopMeeting} was called. */
export function joinMeeting(meeting: Meeting, { worker, workers }: Pick<SharedSum, "worker" | "workers">): SharedSum {
  const { parts, chunk } = meeting;
  const { tickets, scalars, numbers } = viewsOf(meeting);
  let updates = 0; // that this worker has taken: every worker counts the same
  const afterParts = (count: number): number => (updates * parts + count) % COUNTED;

  const until = async (at: number, value: number): Promise<void> => {
    for (;;) {
      const found = Atomics.load(tickets, at);
      if (found === value) return;
      if (found === STOPPED) throw stopped();
      const waiting = Atomics.waitAsync(tickets, at, found, PATIENCE);
      if (waiting.async) await waiting.value;
    }
  };
  /** Gives a ticket its next value, unless it says that somebody has stopped. */
  const move = (at: number, next: (found: number) => number): void => {
    for (;;) {
      const found = Atomics.load(tickets, at);
      if (found === STOPPED) throw stopped();
      if (Atomics.compareExchange(tickets, at, found, next(found)) === found) break;
    }
    Atomics.notify(tickets, at);
  };

  return {
    worker,
    workers,
    add: async (part, gradient, values) => {
      if (values.length > SCALARS) throw new Error(`Cannot share ${values.length} scalars of a micro-batch, but only ${SCALARS}`);
      if (part === 0) await until(TAKEN, (updates * workers) % COUNTED); // nobody reads the sum before it any more
      for (const { ticket, pieces } of piecesOf(gradient, chunk)) {
        if (part > 0) await until(ticket, afterParts(part));
        if (ticket === TAKEN + 1) scalars.set(values, part * SCALARS);
        for (const { at, data } of pieces) addTo(numbers, { at, data, isFirst: part === 0 });
        move(ticket, () => afterParts(part + 1));
      }
    },
    take: async (like, count, use) => {
      let at = 0;
      const sum: Weights = {};
      for (const [name, { shape }] of Object.entries(like)) {
        sum[name] = { shape: [...shape], data: numbers.subarray(at, (at += elements(shape))) as Weights[string]["data"] };
      }
      for (let from = 0; from < at; from += chunk) await until(ticketAt(from, chunk), afterParts(parts));
      await use(sum);
      const shared = Array.from({ length: parts }, (_, part) => scalars.slice(part * SCALARS, part * SCALARS + count));
      updates++;
      move(TAKEN, (found) => (found + 1) % COUNTED);
      return shared;
    },
  };
}

const stopped = (): Error => new Error("another worker of this training has stopped");

/** The tensors one behind the other, cut where chunks of the sum begin. */
function* piecesOf(weights: Weights, chunk: number): Generator<{ ticket: number; pieces: { at: number; data: Float32Array }[] }> {
  let pieces: { at: number; data: Float32Array }[] = [];
  let at = 0;
  for (const { data } of Object.values(weights)) {
    for (let from = 0; from < data.length; ) {
      const end = Math.min(data.length, from + chunk - (at % chunk));
      pieces.push({ at, data: data.subarray(from, end) });
      at += end - from;
      from = end;
      if (at % chunk > 0) continue;
      yield { ticket: ticketAt(at - 1, chunk), pieces };
      pieces = [];
    }
  }
  if (pieces.length > 0) yield { ticket: ticketAt(at - 1, chunk), pieces };
}

/** The ticket of the chunk that a place of the sum lies in. */
const ticketAt = (place: number, chunk: number): number => TAKEN + 1 + Math.floor(place / chunk);

/**
 * Adds data to the sum from a place on, with the rounding of a session's Add; the first begins with 0. It asks for no sign: gradients have
 * either, and a branch that nobody foresees takes longer than all the rest (13 ms a million numbers, so 2.6).
 */
function addTo(sum: Float32Array, { at, data, isFirst }: { at: number; data: Float32Array; isFirst: boolean }): void {
  const place = sum.subarray(at, at + data.length);
  if (isFirst) {
    for (let i = 0; i < data.length; i++) place[i] = Math.abs(data[i] as number) < LEAST ? 0 : (data[i] as number);
    return;
  }
  for (let i = 0; i < data.length; i++) {
    const added = Math.fround((place[i] as number) + (data[i] as number));
    place[i] = Math.abs(added) < LEAST ? 0 * added : added;
  }
}

/**
 * Calls to a worker: they are run one at a time, in order. At most `inFlight` are with the worker; others wait here, unsent, so that
 * their buffers are not copied before there is need.
 */
import type { Carried } from "./carried.ts";

/** Methods of messages that call none of the module's: `create`; leave; do not begin the call of that id; end the thread. */
export const START = "";
export const LEAVE = "leave";
const CANCEL = "cancel";
export const END = "end";

/** What a worker says that has left and whose thread can serve another. */
export const LEFT = "left";

export interface CallMessage {
  id: number;
  method: string;
  argument?: unknown;
}

export type ReplyMessage = { id: number; result: unknown } | { id: number; error: unknown; carried: Carried };

export interface CallOptions {
  /**
   * Buffers to move instead of copying, once the call is sent. Until then the caller must leave them alone, and from then
   * on they are empty here. {@link transferables} collects all of an argument's that nobody else looks into.
   */
  transfer?: ArrayBuffer[];
  /** Gives up this one call: it is rejected with the signal's reason, and not begun where it has not been yet. */
  signal?: AbortSignal;
}

/** A call whose answer somebody waits for. */
export interface Call extends CallMessage {
  transfer: ArrayBuffer[];
  resolve: (value: never) => void;
  reject: (reason: unknown) => void;
}

export interface Calls {
  /** Sends a call when its turn comes. Resolves with its result; rejected with its error, its signal's reason or that of the end. */
  request: (method: string, argument: unknown, options?: CallOptions) => Promise<never>;
  /** The call of that id, which is answered with this: the next one is sent. */
  answered: (id: number) => Call | undefined;
  /** The oldest call that the worker has. */
  underWay: () => Call | undefined;
  /** Rejects all calls, and those yet to come, with the reason of the first end. */
  end: (reason: unknown) => void;
}

/**
 * Calls that `post` sends. It throws where an argument cannot be copied, and that call alone is rejected.
 *
 * @example
 * import { createCalls } from "./calls.ts";
 * const posted: (number | string)[] = [];
 * const calls = createCalls({ inFlight: 1, post: ({ id, method }) => void posted.push(id, method) });
 * const answers = [calls.request("first", 1), calls.request("second", 2)];
 * assert.deepEqual(posted, [0, "first"]); // the second waits until the first is answered
 * calls.answered(0)?.resolve("done" as never);
 * assert.deepEqual(posted, [0, "first", 1, "second"]);
 * assert.equal(await answers[0], "done");
 * calls.end(new Error("closed"));
 * await assert.rejects(answers[1] as Promise<never>, /closed/);
 */
export function createCalls(options: { inFlight: number; post: (message: CallMessage, transfer?: ArrayBuffer[]) => void }): Calls {
  const { inFlight, post } = options;
  const waiting: Call[] = [];
  const sent = new Map<number, Call>();
  let counter = 0;
  let ended: { reason: unknown } | undefined;

  const send = (): void => {
    while (sent.size < inFlight && waiting.length > 0) {
      const { id, method, argument, transfer, ...call } = waiting.shift() as Call;
      try {
        post({ id, method, argument }, transfer);
        sent.set(id, { id, method, transfer: [], ...call }); // the argument is the worker's now
      } catch (error) {
        call.reject(error);
      }
    }
  };
  return {
    request: (method, argument, { transfer = [], signal } = {}) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended.reason);
        if (signal?.aborted) return reject(signal.reason);
        const id = counter++;
        const cancel = (): void => {
          const at = waiting.findIndex((call) => call.id === id);
          if (at >= 0) waiting.splice(at, 1);
          else post({ id, method: CANCEL });
          reject(signal?.reason);
        };
        const settled =
          <T>(settle: (value: T) => void) =>
          (value: T): void => {
            signal?.removeEventListener("abort", cancel);
            settle(value);
          };
        signal?.addEventListener("abort", cancel, { once: true });
        waiting.push({ id, method, argument, transfer, resolve: settled(resolve), reject: settled(reject) });
        send();
      }),
    answered: (id) => {
      const call = sent.get(id);
      sent.delete(id);
      send();
      return call;
    },
    underWay: () => [...sent.values()][0],
    end: (reason) => {
      ended ??= { reason };
      for (const { reject } of [...sent.values(), ...waiting.splice(0)]) reject(ended.reason);
      sent.clear();
    },
  };
}

/**
 * How long buckets are waited for: a request is made again where that may help, until this process is told to stop. From then on none is
 * made again, and each has a moment for its answer; opendal cannot take a request back, but nobody waits for it. One with megabytes has
 * longer while the bucket answers a small question beside it.
 */
import { randomInt } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { pausedFor } from "./pause.ts";

/** Milliseconds that a request is waited for once the process is to stop; one with megabytes for as many more. */
const MOMENT = 1000;

/** Of a request whose errors may pass: how often it is made, also where its credentials are not found, and the pauses in between. */
const ATTEMPTS = { most: 7, unsigned: 3, pause: 100, longest: 5000 };

/** A process that may be told to stop. */
interface Ending {
  signal: AbortSignal;
  /** What those that wait for answers do once it is. */
  hurry: Set<() => void>;
  /** A request that was begun after that had no answer. */
  isGone: boolean;
}

/** What is known of a request. */
interface Request {
  /** Its size, sent or answered. */
  bytes?: number;
  /** Asks the bucket something small. */
  probe?: () => Promise<unknown>;
}

let ending: Ending | undefined;
let abandoned = 0;

/**
 * Lets this process's requests to buckets end soon after a signal, until the answer is called.
 *
 * @example
 * import { endsWith, patiently } from "./patience.ts";
 * const never = () => new Promise<never>(() => {});
 * const noLonger = endsWith(AbortSignal.timeout(10));
 * await assert.rejects(patiently(never), /timeout/);
 * noLonger();
 */
export function endsWith(signal: AbortSignal): () => void {
  const own: Ending = { signal, hurry: new Set(), isGone: false };
  const stop = (): void => {
    for (const hurry of own.hurry) hurry();
  };
  signal.addEventListener("abort", stop, { once: true });
  ending = own;
  return () => {
    signal.removeEventListener("abort", stop);
    if (ending === own) ending = undefined;
  };
}

/**
 * Requests under way for which nobody waits any more, and which hold the process.
 *
 * @example
 * import { abandonedRequests, endsWith, patiently } from "./patience.ts";
 * const before = abandonedRequests();
 * const noLonger = endsWith(AbortSignal.abort(new Error("Ctrl-C")));
 * await assert.rejects(patiently(() => new Promise<never>(() => {})), /no answer/);
 * assert.equal(abandonedRequests(), before + 1);
 * noLonger();
 */
export const abandonedRequests = (): number => abandoned;

/** Whether the process is told to stop. */
export const isEnding = (): boolean => ending?.signal.aborted === true;

/**
 * The answer of a request, made again where its error is opendal's of what may pass. Once the process is to stop, rejects with the signal's
 * reason in the place of another attempt or a late answer, and with `unanswered` where it was begun after.
 *
 * @example
 * import { patiently } from "./patience.ts";
 * let asked = 0;
 * const busy = async () => assert.ok(++asked > 1, "RateLimited (temporary) at stat");
 * await patiently(busy);
 * assert.equal(asked, 2);
 */
export async function patiently<T>(request: () => Promise<T>, known: Request = {}): Promise<T> {
  for (let [attempt, pause] = [1, ATTEMPTS.pause]; ; attempt++, pause = Math.min(2 * pause, ATTEMPTS.longest)) {
    const wasEnding = isEnding();
    try {
      return await answerOf(request, known);
    } catch (error) {
      const { message } = error as Error;
      const most = message.includes("loading credential") ? ATTEMPTS.unsigned : ATTEMPTS.most; // a cloud's machine that this is not
      if (attempt >= most || wasEnding || !/^\w+ \(temporary\)/.test(message)) throw error;
      await paused(pause + randomInt(ATTEMPTS.pause));
    }
  }
}

/**
 * Waits before something is tried again; rejects with the signal's reason once the process is to stop.
 *
 * @example
 * import { endsWith, paused } from "./patience.ts";
 * const noLonger = endsWith(AbortSignal.abort(new Error("Ctrl-C")));
 * await assert.rejects(paused(60_000), /Ctrl-C/);
 * noLonger();
 */
export const paused = (milliseconds: number): Promise<void> => pausedFor(milliseconds, ending?.signal);

/** What a request that was begun too late, or had no answer in its moment, is told by; of opendal's kind. */
const unanswered = (): Error => Object.assign(new Error("Stopping: no answer"), { code: "GenericFailure" });

/** Waits for the answer of a request that is made once. */
export async function answerOf<T>(request: () => Promise<T>, known: Request = {}): Promise<T> {
  const own = ending;
  if (!own) return request();
  if (own.signal.aborted) {
    if (own.isGone) throw unanswered();
    return inMoment(request(), known, () => {
      own.isGone = true;
      return unanswered();
    });
  }
  return new Promise((resolve, reject) => {
    const answer = request();
    const hurry = (): void => void inMoment(answer, known, () => own.signal.reason).then(resolve, reject);
    own.hurry.add(hurry);
    answer.then(resolve, reject).finally(() => own.hurry.delete(hurry));
  });
}

/** An answer, as long as it comes in its moment. */
async function inMoment<T>(answer: Promise<T>, { bytes = 0, probe }: Request, late: () => unknown): Promise<T> {
  let [isOver, isAlive] = [false, true];
  const settled = answer.finally(() => {
    isOver = true;
  });
  settled.catch(() => {}); // told to who waits for the answer, if anybody does
  for (let moments = 1 + Math.floor(bytes / 1e6); moments > 0 && isAlive; moments--) {
    isAlive = false;
    if (moments > 1)
      probe?.().then(
        () => void (isAlive = true),
        (error: Error) => void (isAlive = /^NotFound/.test(error.message)),
      );
    await Promise.race([settled.catch(() => {}), setTimeout(MOMENT, undefined, { ref: false })]);
    if (isOver) return answer;
  }
  abandoned++;
  settled.catch(() => {}).finally(() => void abandoned--);
  throw late();
}

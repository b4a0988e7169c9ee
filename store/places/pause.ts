/** A pause that a signal ends. */
import { setTimeout } from "node:timers/promises";

/**
 * Waits so many milliseconds; rejects with the signal's reason once it aborts, where Node would with an error of its own.
 *
 * @example
 * import { pausedFor } from "./pause.ts";
 * await pausedFor(1);
 * await assert.rejects(pausedFor(60_000, AbortSignal.abort(new Error("Ctrl-C"))), /Ctrl-C/);
 */
export async function pausedFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch((error) => {
    throw signal?.aborted ? signal.reason : error;
  });
}

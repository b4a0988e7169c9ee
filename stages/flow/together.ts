import type { Context } from "../../schemas/events.ts";

/**
 * Runs jobs side by side under one signal. The first to fail stops the others; once all have ended, its error is the one
 * thrown.
 *
 * @example
 * import { together } from "onestep/flow";
 * const context = { signal: new AbortController().signal, report: () => {} };
 * const seen: string[] = [];
 * await together(context, [async () => void seen.push("ingest"), async () => void seen.push("train")]);
 * assert.deepEqual(seen, ["ingest", "train"]);
 */
export async function together(context: Context, jobs: ((context: Context) => Promise<unknown>)[]): Promise<void> {
  const stop = new AbortController();
  const inner = { ...context, signal: AbortSignal.any([context.signal, stop.signal]) };
  let first: { error: unknown } | undefined;
  await Promise.all(
    jobs.map(async (job) => {
      try {
        await job(inner);
      } catch (error) {
        first ??= { error };
        stop.abort(error);
      }
    }),
  );
  if (first) throw first.error;
}

/** Times programs and stores on this machine. */
import { setImmediate } from "node:timers/promises";
import { createEngine, type EagerDevice } from "../../engine/engine.ts";
import type { Device } from "../../engine/session.ts";
import type { BenchProgram } from "./programs.ts";

export interface Timing {
  /** Milliseconds of a run: the median, and the fastest. */
  median: number;
  fastest: number;
  runs: number;
  /** Seconds from the program's source to its second run: tracing, the session, the device's first use of it. */
  starting: number;
}

/** Runs a program again and again for `seconds`, and at least three times after the first. */
export async function timeProgram(options: {
  program: BenchProgram;
  device: Device | EagerDevice;
  /** Which CUDA device; the first unless told. */
  card?: number | undefined;
  threads: number;
  seconds: number;
  signal: AbortSignal;
}): Promise<Timing> {
  const { program, device, card, threads, seconds, signal } = options;
  const began = performance.now();
  const engine = await createEngine({ device, card, threads });
  try {
    const run = await program.start(engine);
    await run(0);
    const starting = (performance.now() - began) / 1000;
    const times = await repeat({ work: run, seconds, least: 3, signal });
    return { ...summary(times), runs: times.length, starting };
  } finally {
    await engine.dispose();
  }
}

/** Milliseconds of each run of `work`, which is given the run's number, for `seconds` and at least `least` runs. */
async function repeat(options: {
  work: (index: number) => Promise<unknown>;
  seconds: number;
  least: number;
  signal: AbortSignal;
}): Promise<number[]> {
  const { work, seconds, least, signal } = options;
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (times.length < least || performance.now() < end) {
    await setImmediate(); // a run holds this thread: let Ctrl-C in
    signal.throwIfAborted();
    const began = performance.now();
    await work(times.length + 1);
    times.push(performance.now() - began);
  }
  return times;
}

function summary(times: readonly number[]): { median: number; fastest: number } {
  const sorted = times.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1] as number, fastest: sorted[0] as number };
}

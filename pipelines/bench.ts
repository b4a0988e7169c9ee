/**
 * pipeline bench [--only A,B] [--seconds N]
 *
 * devices | programs and the store, each timed | tables
 */
import type { EagerDevice } from "../engine/engine.ts";
import type { Device } from "../engine/session.ts";
import { builtTensorflow } from "../engine/tensorflow.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import { didYouMean } from "../schemas/nearest.ts";
import type { Settings } from "../schemas/settings.ts";
import { type BenchProgram, benchPrograms } from "../stages/bench/programs.ts";
import { timeStoreAndBare } from "../stages/bench/store-speed.ts";
import { timeProgram } from "../stages/bench/time.ts";
import { machine } from "../stages/doctor/machine.ts";
import { probe } from "../stages/doctor/probe.ts";
import { hasCudaProvider, packageVersion } from "../stages/doctor/versions.ts";

/** What is measured where nothing is named. */
const USUAL = ["dit", "unet", "sample-1", "sample", "sample-256", "store"];

/** The names of all that can be measured. */
export const benchNames = (programs = benchPrograms): string[] => [...Object.keys(programs), "store"];

/**
 * Prints one table of programs (steps or images a second on each device) and one of the store against bare hyparquet.
 * `only` names what to measure, `device` the one device to measure on; `seconds` is the time for each figure.
 * Throws a usage Failure for an unknown name, and a Failure where the named device cannot be used.
 */
export async function bench(options: {
  only?: readonly string[];
  device?: string;
  seconds: number;
  settings: Settings;
  context: Context;
  programs?: Readonly<Record<string, BenchProgram>>;
  /** Rows of a shard of the measured store. */
  rows?: number;
}): Promise<void> {
  const { only = USUAL, seconds, settings, context, programs = benchPrograms, rows } = options;
  const { signal, report } = context;
  const known = benchNames(programs);
  for (const name of only) {
    if (!known.includes(name))
      throw badUsage(`Cannot measure "${name}": ${didYouMean(name, known, `expected some of ${known.join(",")}`)}`);
  }
  const chosen = only.filter((name) => name !== "store");
  const { threads, cards } = settings.engine;
  report({ type: "result", stage: "machine", values: { ...machine(), threads: threads === 0 ? "one a core" : threads } });

  const lines: Record<string, number | string>[] = [];
  const devices = chosen.length > 0 ? await usableDevices(options) : [];
  const measured = { done: 0, total: chosen.length * devices.length };
  for (const device of devices) {
    for (const name of chosen) {
      const program = programs[name] as BenchProgram;
      try {
        const { median, fastest, starting, runs } = await timeProgram({ program, device, card: cards?.[0], threads, seconds, signal });
        const rate = (1000 * program.amount) / median;
        lines.push({
          program: name,
          device,
          "ms a run": median,
          fastest,
          "a second": rate,
          unit: program.unit,
          runs,
          "starting, s": starting,
        });
      } catch (error) {
        signal.throwIfAborted();
        report({ type: "warning", stage: "bench", message: `${name} does not run on ${device}: ${(error as Error).message}` });
      }
      measured.done++;
      report({ type: "progress", stage: "bench", ...measured, unit: "figures" });
    }
  }
  if (lines.length > 0) report({ type: "table", stage: "programs", rows: lines });
  if (only.includes("store")) {
    const { write, firstRead, read } = await timeStoreAndBare({ rows, signal });
    const table = Object.entries({ write, "first read, every sha256": firstRead, "shuffled batches": read }).map(
      ([what, { store, arrow, bare }]) => ({
        store: what,
        "MB/s": store.median,
        "Arrow shards, MB/s": arrow.median,
        "bare hyparquet, MB/s": bare.median,
        ratio: store.median / bare.median,
      }),
    );
    report({ type: "table", stage: "store", rows: table });
  }
}

/** The devices that answer, or the named one alone. */
async function usableDevices(options: { device?: string; context: Context }): Promise<(Device | EagerDevice)[]> {
  const { device, context } = options;
  const { signal, report } = context;
  const answers = {
    cpu: async () => "ready",
    webgpu: () => probe("webgpu", { signal }),
    cuda: async () => (hasCudaProvider() ? probe("cuda", { signal }) : "not installed (ONNX Runtime's CUDA provider)"),
    tensorflow: async () =>
      builtTensorflow() !== undefined || ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"].some(packageVersion)
        ? "ready"
        : "not installed (optional peer @tensorflow/tfjs-node-gpu)",
  };
  if (device !== undefined && device !== "auto") {
    const answer = await answers[device as keyof typeof answers]();
    if (answer !== "ready")
      throw new Failure(`Cannot measure on device "${device}": ${answer}; choose another --device, or leave it out for those present`);
    return [device as keyof typeof answers];
  }
  const usable: (keyof typeof answers)[] = [];
  for (const [name, ask] of Object.entries(answers) as [keyof typeof answers, () => Promise<string>][]) {
    const answer = await ask();
    if (answer === "ready") usable.push(name);
    else report({ type: "note", stage: "bench", message: `without ${name}: ${answer}` });
  }
  return usable;
}

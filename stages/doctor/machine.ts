/** What a figure was measured on, for whoever compares it with their own. */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { version } from "../../schemas/package.ts";
import { bytesInWords } from "../../schemas/words.ts";
import { packageVersion } from "./versions.ts";

export interface Machine {
  /** Model of the processor and the cores that this process may use. */
  processor: string;
  cores: number;
  memory: string;
  system: string;
  onestep: string;
  node: string;
  onnxruntime: string;
}

/** The machine and the versions that decide a figure; nothing of it changes from one run to the next, and no host is named. */
export function machine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memory: bytesInWords(totalmem()),
    system: `${process.platform} ${process.arch}`,
    onestep: version(),
    node: process.versions.node,
    onnxruntime: packageVersion("onnxruntime-node") ?? "not installed",
  };
}

/** Processes that wanted a core during the last minute, on average: what else the machine did while speed was measured. */
export function load(): number {
  return Number(loadavg()[0]!.toFixed(2));
}

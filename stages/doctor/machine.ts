/** What a figure was measured on, for whoever compares it with their own. */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import * as z from "zod";
import { version } from "../../schemas/package.ts";
import { bytesInWords } from "../../schemas/words.ts";
import { packageVersion } from "./versions.ts";

export const machineSchema = z.object({
  /** Model of the processor and the cores that this process may use. */
  processor: z.string(),
  cores: z.number(),
  memory: z.string(),
  system: z.string(),
  onestep: z.string(),
  node: z.string(),
  onnxruntime: z.string(),
});
export type Machine = z.infer<typeof machineSchema>;

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

/** The files under docs/results: what `evaluate --out`, `study` and the benchmarks wrote, read and checked. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { machineSchema } from "../../../stages/doctor/machine.ts";
import { frequenciesSchema } from "../../../stages/study/frequency/measure.ts";
import { type StudyRecord, studyRecordSchema } from "../../../stages/study/record.ts";

const summary = z.object({ mean: z.number(), spread: z.number().optional(), count: z.number() });
const figures = z.record(z.string(), summary);
const made = { version: z.literal(1), command: z.string(), machine: machineSchema };

const evaluation = z.object({
  format: z.literal("onestep-evaluation"),
  ...made,
  load: z.number(),
  settings: z.object({ evaluate: z.object({ count: z.number() }), simulate: z.object({ solver: z.string(), guidance: z.number() }) }),
  reference: z.object({ count: z.number(), size: z.union([z.number(), z.tuple([z.number(), z.number()])]), preparation: z.string() }),
  features: z.object({ name: z.string(), dimension: z.number(), resizeFilter: z.string() }),
  subjects: z.array(z.object({ subject: z.string(), role: z.string(), evaluations: z.number().optional(), figures })),
  speed: z.record(z.string(), z.object({ millisecondsAnImage: z.number(), imagesASecond: z.number(), batch: z.number() })).optional(),
});

/** Images drawn again from their own tokens, by each way. */
const reconstruction = z.object({
  format: z.literal("onestep-reconstruction"),
  ...made,
  load: z.number(),
  features: z.object({ name: z.string() }),
  subjects: z.array(z.object({ subject: z.string(), evaluations: z.number(), figures, seeds: z.array(z.object({ count: z.number() })) })),
});

const bench = z.object({
  format: z.literal("onestep-bench"),
  ...made,
  load: z.number(),
  rows: z.array(z.record(z.string(), z.union([z.string(), z.number()]))).min(1),
});

/** Which bands noise levels and layers serve: drawn as charts. */
const frequency = z.object({
  format: z.literal("onestep-frequency"),
  ...made,
  networks: z.array(z.object({ name: z.enum(["teacher", "student"]), frequencies: frequenciesSchema })),
});

export type Summary = z.infer<typeof summary>;
export type EvaluationRecord = z.infer<typeof evaluation>;
export type ReconstructionRecord = z.infer<typeof reconstruction>;
export type BenchRecord = z.infer<typeof bench>;
export type ResultRecord = EvaluationRecord | StudyRecord | BenchRecord | ReconstructionRecord | z.infer<typeof frequency>;

export interface Records {
  /** The record of that file name. Throws an error that names the file where it is absent, of another format or without a figure. */
  read: <F extends ResultRecord["format"]>(name: string, format?: F) => Extract<ResultRecord, { format: F }>;
  /** Names of the files that were read. */
  used: Set<string>;
}

const anyRecord = z.discriminatedUnion("format", [evaluation, studyRecordSchema, bench, reconstruction, frequency]);

/** The records of a folder; each is read when it is asked for. */
export function recordsOf(folder: string): Records {
  const used = new Set<string>();
  return {
    used,
    read: (name, format) => {
      const path = join(folder, name);
      if (!existsSync(path))
        throw new Error(`Cannot find ${path}, which a mark names: measure it with this --out, or take it out of the mark`);
      const { data, error } = anyRecord.safeParse(JSON.parse(readFileSync(path, "utf8")));
      if (data === undefined) throw new Error(`Cannot make tables of ${path}: ${z.prettifyError(error)}`);
      if (format !== undefined && data.format !== format) {
        throw new Error(`Cannot make this table of ${path}: it is "${data.format}", and "${format}" is needed`);
      }
      used.add(name);
      return data as never;
    },
  };
}

/**
 * FOLDER/results.jsonl: a line for every finished run, appended when it has been measured. It holds nothing of the clock,
 * so that a study gives the same file however often it was stopped. FOLDER/times.jsonl has the durations.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { type Measures, type SeedMeasures, summaries } from "../evaluate/measures.ts";
import { neededSchema } from "./needed.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { appendLine } from "../../store/places/append-line.ts";

const summarySchema = z.object({ mean: z.number(), spread: z.number().optional(), count: z.number() });

/** What was measured of one run; every figure with its mean and spread over the seeds of the samples (`evaluate.seeds`). */
export const figuresSchema = z.object({
  frechetDistance: summarySchema,
  kernelDistance: summarySchema.optional(),
  precision: summarySchema,
  recall: summarySchema,
  duplicates: summarySchema.optional(),
  diversity: summarySchema.optional(),
  /** Energy of the finest of six frequency bands against the reference's, in dB. */
  finestBand: summarySchema.optional(),
  captionsObeyed: summarySchema.optional(),
  /** Network evaluations an image (NFE); studies of earlier versions lack it. */
  evaluations: z.number().optional(),
  /** How many samples a seed, and how many images of the reference with the sha256 of their pixels. */
  samples: z.number(),
  images: z.number(),
  reference: z.string(),
  features: z.string(),
});
export type Figures = z.infer<typeof figuresSchema>;

/** The figures of one evaluated run, without those that tell of time. */
export function figuresOf(measures: Measures): Figures {
  const { seconds: _, ...means } = summaries(measures);
  const [{ count, references, reference, features }] = measures.seeds as [SeedMeasures];
  const { evaluations } = measures;
  return figuresSchema.parse({
    ...means,
    ...(evaluations !== undefined && { evaluations }),
    samples: count,
    images: references,
    reference,
    features,
  });
}

/** A student at another number of network calls. */
const callSchema = z.object({ calls: z.number(), frechetDistance: summarySchema });
export type AtCalls = z.infer<typeof callSchema>;

export const resultSchema = z.object({
  study: z.string(),
  variant: z.string(),
  seed: z.number(),
  /** The run's folder, below the study's. */
  run: z.string(),
  /** Hashes of all that the training, and the measurement, is a function of. */
  training: z.string(),
  measurement: z.string(),
  figures: figuresSchema,
  /** The distance at every number of calls of the study that the student was made for, rising. */
  calls: z.array(callSchema).optional(),
  needed: neededSchema.optional(),
});
export type Result = z.infer<typeof resultSchema>;

const timeSchema = z.object({
  variant: z.string(),
  seed: z.number(),
  part: z.enum(["train", "measure"]),
  seconds: z.number(),
  memory: z.number().optional(),
});
export type Time = z.infer<typeof timeSchema>;

const resultsPath = (folder: string): string => join(folder, "results.jsonl");
const timesPath = (folder: string): string => join(folder, "times.jsonl");

/** Appends one line; a reader passes over one that a kill cuts short. */
export const appendResult = (folder: string, result: Result): Promise<void> => appendLine(resultsPath(folder), JSON.stringify(result));
/** Appends one line to the times. */
export const appendTime = (folder: string, time: Time): Promise<void> => appendLine(timesPath(folder), JSON.stringify(time));

/** The results of a study's folder in the order of their making; a line that a kill cut short counts for nothing. */
export const readResults = (folder: string): Promise<Result[]> => readLines(resultsPath(folder), resultSchema);
/** How long each stretch of work took: a run that was stopped has several. */
export const readTimes = (folder: string): Promise<Time[]> => readLines(timesPath(folder), timeSchema);

async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const text = (await readFile(path, "utf8").catch(absent)) ?? "";
  return text.split("\n").flatMap((line) => {
    const { data } = schema.safeParse(parsedJson(line));
    return data === undefined ? [] : [data];
  });
}

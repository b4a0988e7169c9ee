/** FOLDER/study.json: everything that a study's text is made of, for whoever makes tables of it later. */
import * as z from "zod";
import { machineSchema } from "../doctor/machine.ts";
import { baselinesSchema } from "./baselines.ts";
import { costSchema } from "./method-rows.ts";
import { courseSchema } from "./over-training.ts";
import { resultSchema } from "./results.ts";
import type { Findings } from "./summary.ts";

const variantSchema = z.looseObject({
  name: z.string(),
  about: z.string(),
  published: z.number().optional(),
  changes: z.record(z.string(), z.unknown()),
});

const studySchema = z.looseObject({
  name: z.string(),
  about: z.string(),
  method: z.string(),
  source: z.string().optional(),
  calls: z.array(z.number()).optional(),
  variants: z.array(variantSchema),
});

export const studyRecordSchema = z.object({
  format: z.literal("onestep-study"),
  version: z.literal(1),
  /** The command line as it was typed. */
  command: z.string().optional(),
  machine: machineSchema,
  facts: z.record(z.string(), z.union([z.string(), z.number()])),
  study: studySchema,
  baselines: baselinesSchema.optional(),
  results: z.array(resultSchema),
  costs: z.record(z.string(), costSchema).optional(),
  /** Of runs that measured recall on their way. */
  recall: z.array(courseSchema).optional(),
});
export type StudyRecord = z.infer<typeof studyRecordSchema>;

/** What the record says, as the study found it. */
export function findingsOf({ study, results, baselines, costs }: StudyRecord): Findings {
  return { study: study as Findings["study"], results, ...(baselines && { baselines }), ...(costs && { costs }) };
}

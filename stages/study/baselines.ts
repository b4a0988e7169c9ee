/** FOLDER/baselines.json: what a study's distances are to be compared with, the teacher's and that of real images. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Evaluation } from "../evaluate/evaluation.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import type { Ground } from "./ground.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { figuresOf, figuresSchema } from "./results.ts";

export const baselinesSchema = z.object({
  /** Hash of all that they are a function of. */
  baseline: z.string(),
  /** Network evaluations an image of the teacher. */
  evaluations: z.number(),
  teacher: figuresSchema,
  /** Half of the reference against the other half, where it has images enough. */
  floor: figuresSchema.optional(),
});
export type Baselines = z.infer<typeof baselinesSchema>;

const pathOf = (folder: string): string => join(folder, "baselines.json");

/** Those of a folder, if they were measured on this ground. */
export async function readBaselines(folder: string, { baseline }: Ground): Promise<Baselines | undefined> {
  const text = (await readFile(pathOf(folder), "utf8").catch(absent)) ?? "";
  const { data } = baselinesSchema.safeParse(parsedJson(text));
  return data?.baseline === baseline ? data : undefined;
}

/** Measures the teacher as it made the triples, and the reference against itself. */
export async function measureBaselines(options: {
  folder: string;
  teacher: string;
  ground: Ground;
  evaluation: Evaluation;
}): Promise<void> {
  const { folder, ground, evaluation } = options;
  const { baseline, simulate } = ground;
  const floor = await evaluation.floor();
  const measures = await evaluation.measure({ name: "teacher", path: options.teacher, simulate });
  const teacher = figuresOf(measures);
  const found: Baselines = { baseline, evaluations: measures.evaluations ?? 0, teacher, ...(floor && { floor: figuresOf(floor) }) };
  await writeAtomic(pathOf(folder), `${JSON.stringify(found, null, 2)}\n`);
}

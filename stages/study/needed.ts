/** What a run of a study needed: data, teacher calls, trained parameters, disk. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { countWeights } from "../../engine/weights.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { openSafetensors } from "../../models/weights/open.ts";
import type { Settings } from "../../schemas/settings.ts";
import { shardOf } from "../../store/records/present.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import { readLatestCheckpoint } from "../train/checkpoint.ts";

export const neededSchema = z.object({
  /** Parameters that gradients change, and all that the student has. */
  trained: z.number(),
  parameters: z.number(),
  /** Images a training saw, over all its phases: steps times rows. */
  seen: z.number(),
  /** Triples of the store, where it read them. */
  triples: z.number().optional(),
  /** Whether it saw real images. */
  images: z.boolean(),
  /** Evaluations of the teacher: for the triples, and in training. */
  teacherCalls: z.number(),
  /** Of shards of triples that it read or made, in bytes. */
  disk: z.number(),
});
export type Needed = z.infer<typeof neededSchema>;

/** Of the finished run in `folder`. `evaluations` are the teacher's for one triple. */
export async function neededBy(options: { folder: string; store: string; evaluations: number; settings: Settings }): Promise<Needed> {
  const { folder, store, evaluations, settings } = options;
  const { train } = settings;
  const method = methodNamed(train.method);
  const [own, optimiser] = [ownSettings(method, train), optimiserOf(train)];
  const needs = method.needs(own, optimiser);
  const checkpoint = await readLatestCheckpoint({ folder });
  const student = checkpoint?.sets[`${method.makes}.network`] ?? {};
  const phases = method.phases?.(own) ?? [];
  const steps = phases.length === 0 ? optimiser.steps : phases.reduce((sum, phase) => sum + stepsOf(phase, optimiser.steps), 0);
  const seen = steps * optimiser.batch;
  const readsTriples = needs.rows === "triples";
  const triples = readsTriples ? (await openTripleStore({ folder: store })).manifest.entries : undefined;
  return {
    trained: countWeights(student),
    parameters: await parametersIn(folder),
    seen,
    ...(triples !== undefined && { triples }),
    images: needs.images !== undefined || needs.rows === "latents" || needs.rows === "raw",
    teacherCalls: (triples ?? 0) * evaluations + seen * (needs.teacherCalls ?? 0),
    disk: (readsTriples ? await shardsIn(store) : 0) + (await shardsIn(folder)),
  };
}

const stepsOf = (phase: object, usual: number): number =>
  "simulate" in phase ? 0 : ((phase as { optimiser?: { steps?: number } }).optimiser?.steps ?? usual);

/** How many weights the file of a model has, by its header. */
async function parametersIn(folder: string): Promise<number> {
  return countWeights((await openSafetensors(join(folder, "weights.safetensors"))).tensors);
}

/** Bytes of all shards below a folder. */
async function shardsIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && shardOf(entry.name) !== undefined);
  const sizes = await Promise.all(files.map(async (entry) => (await stat(join(entry.parentPath ?? entry.path, entry.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What the folder of a published pipeline holds, part by part, and what of it is understood here. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { countWeights } from "../../engine/weights.ts";
import { classOf, readPartConfig, weightsIn } from "../../models/published/folder.ts";
import { publishedClasses, publishedNetwork } from "../../models/published/registry.ts";
import { openWeights } from "../../models/weights/load.ts";
import { isFailure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { bytesInWords, numberInWords } from "../../schemas/words.ts";

/** What model_index.json says of a part: the library and the class. */
const partSchema = z.tuple([z.string().nullable(), z.string().nullable()]);

/** One part in words. */
export interface PartFacts extends Record<string, string> {
  part: string;
  class: string;
  parameters: string;
  stored: string;
  /** "yes", or why not. */
  understood: string;
}

/** Whether a folder is a pipeline as diffusers writes it. */
export const isPublished = (folder: string): boolean => existsSync(join(folder, "model_index.json"));

/** The pipeline's class, and its parts in the order of model_index.json. */
export async function describePublished(folder: string): Promise<{ pipeline: string; parts: PartFacts[] }> {
  const index = await readJson(join(folder, "model_index.json"));
  const { _class_name: pipeline = "unknown", ...entries } = index;
  const parts: PartFacts[] = [];
  for (const [part, entry] of Object.entries(entries)) {
    const { data } = partSchema.safeParse(entry);
    if (data?.[1] == null) continue; // a flag, or a part that the pipeline was saved without
    parts.push(await describePart(join(folder, part), part, data[1]));
  }
  return { pipeline: String(pipeline), parts };
}

async function describePart(folder: string, part: string, name: string): Promise<PartFacts> {
  const facts = { part, class: name, parameters: "", stored: "", understood: "" };
  if (!existsSync(folder)) return { ...facts, understood: "it is missing" };
  const file = join(folder, "config.json");
  if (!existsSync(file)) return facts; // of a tokenizer or a schedule
  try {
    const { json } = await readPartConfig(folder);
    if (!publishedClasses.includes(classOf(json))) return { ...facts, understood: "no: this class is not known here" };
    publishedNetwork({ json, file });
    const { tensors } = await openWeights(await weightsIn(folder));
    const stored = Object.values(tensors);
    const types = [...new Set(stored.map(({ dtype }) => dtype))].sort().join(", ");
    const bytes = stored.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { ...facts, parameters: numberInWords(countWeights(tensors)), stored: `${bytesInWords(bytes)}, ${types}`, understood: "yes" };
  } catch (error) {
    if (!isFailure(error)) throw error;
    return { ...facts, understood: error.message };
  }
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const json = parsedJson((await readFile(file, "utf8").catch(absent)) ?? "");
  return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
}

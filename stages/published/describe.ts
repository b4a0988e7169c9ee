/** What the folder or the one file of a published pipeline holds, part by part, and what of it is understood here. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { countWeights } from "../../engine/weights.ts";
import { classOf, readPartConfig, weightsIn } from "../../models/published/folder.ts";
import { publishedClasses, publishedNetwork } from "../../models/published/registry.ts";
import { SCHEDULERS } from "../../models/published/original-configs.ts";
import { isSingleFile, openSingleFile } from "../../models/published/single-file.ts";
import { openWeights } from "../../models/weights/load.ts";
import type { StoredTensor } from "../../models/weights/stored.ts";
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

/** What is known once a part was looked at. */
type FoundFacts = Pick<PartFacts, "understood"> | Pick<PartFacts, "parameters" | "stored" | "understood">;

/** Whether a path is a pipeline: a folder as diffusers writes it, or a file of weights. */
export const isPublished = (path: string): boolean => existsSync(join(path, "model_index.json")) || isSingleFile(path);

/** The pipeline's class, and its parts in the order of model_index.json. Throws a Failure for a file that is no pipeline. */
export async function describePublished(path: string): Promise<{ pipeline: string; parts: PartFacts[] }> {
  return isSingleFile(path) ? describeFile(path) : describeFolder(path);
}

async function describeFile(path: string): Promise<{ pipeline: string; parts: PartFacts[] }> {
  const { kind, pipeline, parts } = await openSingleFile(path);
  const predicts = kind === "sd2" ? "epsilon or v_prediction: weights do not tell, both were published" : "epsilon, if it is as published";
  const rows: PartFacts[] = [{ part: "scheduler", class: SCHEDULERS[kind], parameters: "", stored: "", understood: predicts }];
  for (const [part, { config, stored }] of parts) {
    const file = `${path} (${part})`;
    rows.push(
      await toldOr({ part, class: classOf(config), ...UNKNOWN }, () => factsOf({ json: config, file, stored: async () => stored })),
    );
  }
  return { pipeline, parts: rows };
}

const UNKNOWN = { parameters: "", stored: "", understood: "" };

async function describeFolder(folder: string): Promise<{ pipeline: string; parts: PartFacts[] }> {
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
  const facts = { part, class: name, ...UNKNOWN };
  if (!existsSync(folder)) return { ...facts, understood: "it is missing" };
  const file = join(folder, "config.json");
  if (!existsSync(file)) return facts; // of a tokenizer or a schedule
  return toldOr(facts, async () => {
    const { json } = await readPartConfig(folder);
    if (!publishedClasses.includes(classOf(json))) return { understood: "no: this class is not known here" };
    return factsOf({ json, file, stored: async () => (await openWeights(await weightsIn(folder))).tensors });
  });
}

/** The facts with those that are found, or with why there are none. */
async function toldOr(facts: PartFacts, find: () => Promise<FoundFacts>): Promise<PartFacts> {
  try {
    return { ...facts, ...(await find()) };
  } catch (error) {
    if (!isFailure(error)) throw error;
    return { ...facts, understood: error.message };
  }
}

/** Of a part with this config. Throws a Failure where a value of it is not understood, before its weights are opened. */
async function factsOf(options: {
  json: object;
  file: string;
  stored: () => Promise<Readonly<Record<string, StoredTensor>>>;
}): Promise<FoundFacts> {
  const { json, file } = options;
  publishedNetwork({ json, file });
  const stored = await options.stored();
  const tensors = Object.values(stored);
  const types = [...new Set(tensors.map(({ dtype }) => dtype))].sort().join(", ");
  const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { parameters: numberInWords(countWeights(stored)), stored: `${bytesInWords(bytes)}, ${types}`, understood: "yes" };
}

async function readJson(file: string): Promise<Record<string, unknown>> {
  const json = parsedJson((await readFile(file, "utf8").catch(absent)) ?? "");
  return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
}

/**
 * A part of a published pipeline before its weights are read. A part is named by the path PIPELINE/PART, whether the pipeline is a
 * folder as diffusers writes it or Stable Diffusion in one file.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Weights, WeightsHash } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { readPartConfig, readPublished, readPublishedShapes, weightsIn } from "./folder.ts";
import { originalIndex } from "./original-configs.ts";
import type { OriginalPart } from "./original-names.ts";
import { isSingleFile, openSingleFile, singlePart } from "./single-file.ts";
import type { TorchNames } from "./torch.ts";

export interface PartFiles {
  /** Names the config in errors. */
  file: string;
  json: object;
  /**
   * The weights under our names and in our layouts; `hash` is given all of them. Throws a Failure where they are missing, torn or
   * pickled.
   */
  read: (names: TorchNames, hash?: WeightsHash) => Promise<Weights>;
  /** The same without elements: of the files no more than their headers is read. */
  shapes: (names: TorchNames) => Promise<Weights>;
}

/** The model_index.json of a pipeline, or what it would say of one file; undefined where there is none. */
export async function readIndex(pipeline: string): Promise<Record<string, unknown> | undefined> {
  if (isSingleFile(pipeline)) return originalIndex((await openSingleFile(pipeline)).kind);
  const index = parsedJson(await readFile(join(pipeline, "model_index.json"), "utf8").catch(absent));
  return typeof index === "object" && index !== null ? (index as Record<string, unknown>) : undefined;
}

/** Whether a pipeline has the part of this path. Throws a Failure for a file that is no pipeline. */
export async function hasPart(path: string): Promise<boolean> {
  const whole = dirname(path);
  if (!isSingleFile(whole)) return existsSync(join(path, "config.json"));
  return (await openSingleFile(whole)).parts.has(basename(path) as OriginalPart);
}

/** Opens the part of a path. Throws a Failure where there is none, or its config cannot be read. */
export async function openPart(path: string): Promise<PartFiles> {
  const whole = dirname(path);
  if (!isSingleFile(whole)) {
    const { file, json } = await readPartConfig(path);
    return {
      file,
      json,
      read: async (names, hash) => readPublished(await weightsIn(path), names, hash),
      shapes: async (names) => readPublishedShapes(await weightsIn(path), names),
    };
  }
  const single = await openSingleFile(whole);
  const part = basename(path) as OriginalPart;
  if (single.parts.has(part)) return singlePart(single, part);
  throw new Failure(
    `Cannot read ${path}: ${whole} has no such part, only ${[...single.parts.keys()].join(", ")}. Use a whole pipeline's folder.`,
  );
}

/**
 * The folder of a part that is no network, such as a tokenizer: one file of weights has none of these, so they are looked for beside it.
 */
export function besidePart(path: string): string {
  const whole = dirname(path);
  return isSingleFile(whole) ? join(dirname(whole), basename(path)) : path;
}

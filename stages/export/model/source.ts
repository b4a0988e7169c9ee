/** The published pipeline that a run's teacher was read from: what its student is exported beside. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readIndex } from "../../../models/published/part-files.ts";
import { isSingleFile, openSingleFile, type SingleFile } from "../../../models/published/single-file.ts";
import type { TextPart } from "../../../models/text/published-text.ts";
import type { TorchNames } from "../../../models/published/torch.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { DenoiserDescription, LoraRequest } from "../../../schemas/model.ts";
import { addLoraFiles } from "../../published/lora.ts";
import { type PublishedPart, readPart } from "../../published/part.ts";
import { type DenoiserPart, isPublishedTeacher, openDenoiser } from "../../published/teacher.ts";

export interface Source {
  path: string;
  /** Which part is the denoiser; "" where the folder is one network alone. */
  part: DenoiserPart;
  names: TorchNames;
  /** Its model_index.json; empty where it is no pipeline. */
  index: Record<string, unknown>;
  /** LoRAs that were added to its text encoders. */
  loras: readonly LoraRequest[];
  /** Of one file. */
  single?: SingleFile;
}

/**
 * The pipeline of a run's teacher, at `teacher` or where it was when it was read. Throws a Failure where it is not there, and where
 * another network stands there.
 */
export async function sourceOf(
  run: string,
  { spec, source, textLoras: loras = [] }: DenoiserDescription,
  teacher?: string,
): Promise<Source> {
  const path = teacher ?? source?.path;
  const remedy = "Name the pipeline that it was distilled from with --teacher.";
  if (path === undefined) throw new Failure(`Cannot export ${run}: it does not say where its teacher lies. ${remedy}`);
  if (!existsSync(path) || !isPublishedTeacher(path)) {
    throw new Failure(
      `Cannot export ${run}: there is no pipeline at ${path}, where its teacher was, and all but the student's network comes from ` +
        `there. Put it back, or name where it is now with --teacher.`,
    );
  }
  const { part, json, names } = await openDenoiser(path);
  if (contentOf(json) !== contentOf(spec.network.published ?? {})) {
    throw new Failure(`Cannot export ${run}: the network at ${path} has another config than its teacher had. ${remedy}`);
  }
  const index = (await readIndex(path)) ?? {};
  return { path, part, names, index, loras, ...(isSingleFile(path) && { single: await openSingleFile(path) }) };
}

/** A part other than the denoiser, its weights with the LoRAs that they were read with. */
export async function partOf({ path, loras }: Source, part: string): Promise<PublishedPart> {
  const read = await readPart(join(path, part));
  if (!isEncoder(part)) return read;
  return { ...read, weights: await addLoraFiles({ ...read, part, names: read.network.names, loras }) };
}

/** Whether a part is one that LoRAs change beside the denoiser. */
export const isEncoder = (part: string): part is TextPart["encoder"] => /^text_encoder(_[23])?$/.test(part);

/** A config without what only tells who wrote it. */
function contentOf(json: object): string {
  const own = Object.entries(json).filter(([key]) => !key.startsWith("_"));
  return JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)));
}

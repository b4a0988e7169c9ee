/** RUN/lora.safetensors: what a training by LoRA adds to its base, apart from it. Other tools load its tensors as they are. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { loadWeights } from "../../models/weights/load.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { type DenoiserSpec, denoiserSpec, type Sampler, samplerDescription } from "../../schemas/model.ts";
import { absent } from "../../schemas/system-error.ts";
import { saveWeights } from "./weights-file.ts";

/** The `format` in the file's metadata. */
const loraFormat = "onestep-lora/1";

/** The file's name in a run folder. */
export const loraFile = "lora.safetensors";

/** A LoRA apart from its base, and what both together are. */
export interface Lora {
  rank: number;
  /** Products are multiplied by alpha / rank. */
  alpha: number;
  /** hashWeights of the weights it is to be added to. */
  base: string;
  /** NAME.lora.down and NAME.lora.up. */
  trained: Weights;
  /** hashWeights of the base with all of it added. */
  merged: string;
  /** What the sum is, and how it is sampled. */
  spec: DenoiserSpec;
  sampler?: Sampler;
}

const positive = z.coerce.number().positive();
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const metadataSchema = z.object({
  format: z.literal(loraFormat),
  rank: positive,
  alpha: positive,
  base: hash,
  merged: hash,
  hash, // hashWeights of the tensors
  spec: z.string().transform(parsedJson).pipe(denoiserSpec),
  sampler: z.string().transform(parsedJson).pipe(samplerDescription).optional(),
});

/** Writes the LoRA of a run folder; it appears whole or not at all. */
export async function writeLora(folder: string, lora: Lora): Promise<void> {
  const { rank, alpha, base, merged, trained, spec, sampler } = lora;
  const metadata = {
    format: loraFormat,
    rank: String(rank),
    alpha: String(alpha),
    base,
    merged,
    hash: hashWeights(trained),
    spec: JSON.stringify(spec),
    ...(sampler && { sampler: JSON.stringify(sampler) }),
  };
  await saveWeights({ path: join(folder, loraFile), weights: trained, metadata });
}

/**
 * Reads a LoRA from its file, or from the folder of a run that was trained by one; `hash` is that of its tensors. Throws a Failure
 * where there is none, and where it is damaged or of another format.
 */
export async function readLora(path: string): Promise<Lora & { hash: string }> {
  const found = await stat(path).catch(absent);
  if (!found) throw new Failure(`Cannot read a LoRA from ${path}: nothing is there. Name a ${loraFile}, or the run that wrote one.`);
  const file = found.isDirectory() ? join(path, loraFile) : path;
  if (found.isDirectory() && !(await stat(file).catch(absent))) {
    throw new Failure(
      `Cannot read a LoRA from ${path}: it holds no ${loraFile}, so it was not trained by one. Name a run whose adapter was {lora: ...}.`,
    );
  }
  const { weights: trained, metadata } = await loadWeights(file);
  const described = metadataSchema.safeParse(metadata);
  if (!described.success) {
    const { path: key, message } = described.error.issues[0]!;
    throw new Failure(
      `Cannot use ${file}: its metadata does not say what a LoRA of onestep is (${key.join(".")}: ${message}). ` +
        `Name the ${loraFile} of a run.`,
    );
  }
  const { format: _, ...lora } = described.data;
  if (hashWeights(trained) !== lora.hash) {
    throw new Failure(`Cannot trust ${file}: its tensors do not have the hash in its metadata. Put the file back as it was.`);
  }
  return { ...lora, trained };
}

/** LoRA files of others on top of a published teacher: named on the command line, read, and added to its weights. */
import { stat } from "node:fs/promises";
import type { Weights } from "../../engine/weights.ts";
import { type LoraBase, type LoraFile, type LoraPart, loraFactors, withLoras } from "../../models/published/lora-files.ts";
import { loadWeights } from "../../models/weights/load.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { LoraRequest } from "../../schemas/model.ts";
import { absent } from "../../schemas/system-error.ts";

/** What `--lora FILE[:SCALE]` asks for, in the order given; the scale is 1 unless told. Throws a usage failure for another scale. */
export function loraRequests(given: readonly string[]): LoraRequest[] {
  return given.map((text) => {
    const [, path = text, scale = "1"] = /^(.+\.safetensors):(.*)$/.exec(text) ?? [];
    if (scale.trim() !== "" && Number.isFinite(Number(scale))) return { path, scale: Number(scale) };
    throw badUsage(`Cannot add ${text} (--lora): "${scale}" is no scale; expected a number, as in ${path}:0.7`);
  });
}

/** A LoRA's file, read. Throws a Failure where there is none. */
export async function readLoraFile(path: string): Promise<LoraFile> {
  await checkLoraFile(path);
  const { weights: tensors, metadata } = await loadWeights(path);
  return { path, tensors, metadata };
}

/** Throws a Failure where there is no such file. */
export async function checkLoraFile(path: string): Promise<void> {
  if (!(await stat(path).catch(absent))?.isFile()) throw new Failure(`Cannot read the LoRA ${path}: there is no such file. Check --lora.`);
}

/**
 * Weights of one part of a pipeline with `scale` times each LoRA added: products and sums are float64, rounded once; a file for other
 * parts alone adds nothing. Throws a Failure where a file is missing, is no plain LoRA or was made for another network.
 */
export async function addLoraFiles(options: {
  weights: Weights;
  part: LoraPart;
  names: LoraBase["names"];
  loras: readonly LoraRequest[];
}): Promise<Weights> {
  const { weights, part, names, loras } = options;
  const added = [];
  for (const { path, scale } of loras)
    added.push({ factors: loraFactors(await readLoraFile(path), { part, shapes: weights, ...(names && { names }) }), scale });
  return added.length === 0 ? weights : withLoras(weights, added);
}

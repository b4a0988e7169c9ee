/** LoRA files of others on top of a published teacher: named on the command line, read, and added to its weights. */
import { stat } from "node:fs/promises";
import type { Weights } from "../../engine/weights.ts";
import { type LoraBase, type LoraPart, loraFactors, loraParts, withLoras } from "../../models/published/lora-files.ts";
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

/**
 * Weights of one part of a pipeline with `scale` times each LoRA added: products and sums are float64, rounded once. Throws a Failure
 * where a file is missing, is no plain LoRA or was made for another network, and where it changes no part of `changed`.
 */
export async function addLoraFiles(options: {
  weights: Weights;
  part: LoraPart;
  names: LoraBase["names"];
  loras: readonly LoraRequest[];
  /** All parts of the pipeline to which LoRAs are added. */
  changed: readonly LoraPart[];
}): Promise<Weights> {
  const { weights, part, names, loras, changed } = options;
  const added = [];
  for (const { path, scale } of loras) {
    if (!(await stat(path).catch(absent))?.isFile())
      throw new Failure(`Cannot read the LoRA ${path}: there is no such file. Check --lora.`);
    const { weights: tensors, metadata } = await loadWeights(path);
    const other = loraParts({ path, tensors, metadata }).find(([each]) => !changed.includes(each));
    if (other !== undefined) {
      const [encoder, layers] = other;
      throw new Failure(
        `Cannot add ${path}: it changes ${layers} ${layers === 1 ? "layer" : "layers"} of the ${encoder} as well, and here only ` +
          `${changed.join(" and ")} can be changed. ` +
          "Merge it into the pipeline where it was made, and use that folder.",
      );
    }
    added.push({ factors: loraFactors({ path, tensors, metadata }, { part, shapes: weights, ...(names && { names }) }), scale });
  }
  return withLoras(weights, added);
}

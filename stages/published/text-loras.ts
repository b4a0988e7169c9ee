/** LoRAs that change a pipeline's text encoders as well. */
import { join } from "node:path";
import { loraFactors, type LoraPart, loraParts } from "../../models/published/lora-files.ts";
import { openPart } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { Failure } from "../../schemas/failure.ts";
import type { LoraRequest } from "../../schemas/model.ts";
import { readLoraFile } from "./lora.ts";
import { hasEncoder, readTextIndex } from "./text-files.ts";

/**
 * Those of the LoRAs that change one of the folder's text encoders; of these no more than the headers is read. Throws a Failure where a
 * file is missing or no plain LoRA, changes a part that is neither the denoiser nor one of those, or was made for other encoders.
 */
export async function textLorasOf(options: {
  folder: string;
  loras: readonly LoraRequest[];
  denoiser: LoraPart;
  readsTexts: boolean;
}): Promise<LoraRequest[]> {
  const { folder, loras, denoiser, readsTexts } = options;
  if (loras.length === 0) return [];
  const encoders = readsTexts ? await encodersOf(folder) : [];
  const changed = [denoiser, ...encoders];
  const found: LoraRequest[] = [];
  for (const lora of loras) {
    const file = await readLoraFile(lora.path);
    const parts = loraParts(file);
    const other = parts.find(([part]) => !changed.includes(part));
    if (other !== undefined) {
      const [part, layers] = other;
      throw new Failure(
        `Cannot add ${lora.path}: it changes ${layers} ${layers === 1 ? "layer" : "layers"} of the ${part}, and of ${folder} only ` +
          `${changed.join(", ")} can be changed. Use it with the pipeline that it was made for.`,
      );
    }
    const texts = parts.flatMap(([part]) => (encoders.includes(part) ? [part] : []));
    for (const part of texts) {
      const files = await openPart(join(folder, part));
      const { names } = publishedNetwork(files);
      loraFactors(file, { part, shapes: await files.shapes(names), names });
    }
    if (texts.length > 0) found.push(lora);
  }
  return found;
}

/** The text encoders that a folder has. */
async function encodersOf(folder: string): Promise<LoraPart[]> {
  const encoders: LoraPart[] = [];
  for (const part of (await readTextIndex(folder)).side.parts) if (await hasEncoder(folder, part)) encoders.push(part.encoder);
  return encoders;
}

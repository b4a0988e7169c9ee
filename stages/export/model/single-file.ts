/** A student as Stable Diffusion in one file, by the names of the code that trained it: what collections of models and tools read. */
import { join } from "node:path";
import type { Weights } from "../../../engine/weights.ts";
import { type OriginalKind, type OriginalPart, originalParts, toOriginal } from "../../../models/published/original-names.ts";
import { openPart } from "../../../models/published/part-files.ts";
import { toTorch } from "../../../models/published/torch.ts";
import { safetensorsPieces, sourcesOf } from "../../../models/weights/pieces.ts";
import { Failure } from "../../../schemas/failure.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import { pipelineOf } from "./diffusers.ts";
import type { StoredAs } from "./parts.ts";
import { partOf, type Source } from "./source.ts";

/** The file's name in the folder. */
const SINGLE_FILE = "model.safetensors";

/** Writes the file; answers its path. Throws a Failure where the pipeline has no such layout. */
export async function writeSingleFile(options: { out: string; weights: Weights; source: Source; dtype: StoredAs }): Promise<string> {
  const { out, weights, source, dtype } = options;
  const kind = await kindOf(source);
  const parts: Partial<Record<OriginalPart, Weights>> = { unet: toTorch(weights) };
  for (const part of originalParts(kind)) parts[part] ??= toTorch((await partOf(source, part)).weights);
  const path = join(out, SINGLE_FILE);
  await writeAtomic(path, safetensorsPieces({ tensors: sourcesOf(toOriginal(kind, parts), dtype), metadata: { format: "pt" } }));
  return path;
}

/** Which of the three kinds a pipeline is: SD 1 reads CLIP's own text encoder, SD 2 OpenCLIP's, whose activations differ. */
async function kindOf(source: Source): Promise<OriginalKind> {
  if (source.single) return source.single.kind;
  const pipeline = pipelineOf(source);
  if (pipeline === "StableDiffusionXLPipeline") return "sdxl";
  if (pipeline === "StableDiffusionPipeline") {
    const { json } = await openPart(join(source.path, "text_encoder"));
    return (json as { hidden_act?: string }).hidden_act === "gelu" ? "sd2" : "sd1";
  }
  throw new Failure(
    `Cannot write ${pipeline || "this network"} as one file: that layout is known of Stable Diffusion 1, 2 and SDXL alone. ` +
      "Use --format diffusers.",
  );
}

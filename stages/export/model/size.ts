/** How diffusers is told that a student makes pictures of another size, or reads texts of another length, than its teacher did. */
import { publishedNetwork } from "../../../models/published/registry.ts";
import { publishedText } from "../../../models/text/published-text.ts";
import type { DenoiserDescription } from "../../../schemas/model.ts";

/** Pipelines that look up their size in `sample_size` of their network's config: any, or the side of a square alone. */
const CONFIGURED: Readonly<Record<string, "any" | "square">> = {
  DDPMPipeline: "any",
  DDIMPipeline: "any",
  StableDiffusionPipeline: "any",
  StableDiffusionXLPipeline: "square",
  StableDiffusion3Pipeline: "square",
};

/** [height, width] of the student's latents where they are not those of its teacher's config. */
function otherSides({ spec }: Pick<DenoiserDescription, "spec">): [number, number] | undefined {
  const { denoiser } = publishedNetwork({ json: spec.network.published ?? {}, file: "network.published" });
  const [height, width] = spec.shape;
  return denoiser && (denoiser.shape[0] !== height || denoiser.shape[1] !== width) ? [height, width] : undefined;
}

/** The config.json of a student's network: its own size stands there where the pipeline reads it. */
export function configOf(description: Pick<DenoiserDescription, "spec">, pipeline: string): object {
  const json = description.spec.network.published as object;
  const sides = otherSides(description);
  const kind = CONFIGURED[pipeline];
  if (!sides || kind === undefined) return json;
  const isSquare = sides[0] === sides[1];
  if (isSquare) return { ...json, sample_size: sides[0] };
  return kind === "any" ? { ...json, sample_size: sides } : json;
}

/** Arguments of the pipeline's call, in Python, that ask for the student's size and length of texts where they are not its teacher's. */
export function sizeArguments(description: Pick<DenoiserDescription, "spec">, pipeline: string): Record<string, string> {
  const { pixels, text } = description.spec.network;
  const [length] =
    publishedText(pipeline)?.parts.flatMap((part, i) => (part.length !== text?.lengths[i] && part.length ? [text?.lengths[i]] : [])) ?? [];
  const told: Record<string, string> = length === undefined ? {} : { max_sequence_length: String(length) };
  if (!pixels || !otherSides(description)) return told;
  const [height, width] = pixels.map(String) as [string, string];
  return { height, width, ...(pipeline.startsWith("PixArt") && { use_resolution_binning: "False" }), ...told };
}

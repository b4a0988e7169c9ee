/** Which formats a run can be exported in, and why not in others. */
import { badUsage, Failure } from "../../../schemas/failure.ts";
import type { DenoiserDescription, DenoiserSpec } from "../../../schemas/model.ts";
import { didYouMean } from "../../../schemas/nearest.ts";

/** What a folder of an exported run holds, beside {@link graphFormats}. */
export const modelFormats = ["diffusers", "lora", "kohya", "single-file", "safetensors"] as const;
export type ModelFormat = (typeof modelFormats)[number];

/** Graphs for ONNX runtimes, of any student and of teachers: by themselves (stages/export/onnx/), or in a page (stages/export/web/). */
export const graphFormats = ["onnx", "web"] as const;

/** Why no class of diffusers is one of our own networks, layer for layer. */
const OWN: Readonly<Record<Exclude<DenoiserSpec["network"]["kind"], "published">, string>> = {
  dit:
    "its positions are trained, its noise level goes into all blocks as one vector, " +
    "and its features are others than DiTTransformer2DModel's",
  unet: "it divides each residual sum by the root of 2 and its noise level's features are others than UNet2DModel's",
};

/** The format of a name, for a run. Throws a usage failure for another, and a Failure where the run's network cannot have it. */
export function formatFor(run: string, { spec }: DenoiserDescription, name: string): ModelFormat {
  const known = [...modelFormats, ...graphFormats];
  const format = modelFormats.find((each) => each === name);
  if (!format) throw badUsage(`Cannot export a run as "${name}": ${didYouMean(name, known, `expected ${known.join(", ")}`)}`);
  const { kind, stack, control } = spec.network;
  if (kind !== "published") {
    throw new Failure(
      `Cannot export ${run} as ${name}: no class of other tools is its network (${OWN[kind]}). ` +
        "Use --format onnx; pipeline merge-lora takes its LoRA.",
    );
  }
  if (stack || control) {
    throw new Failure(`Cannot export ${run}: it is a published network with a second one over it, which no other tool has. Use it here.`);
  }
  return format;
}

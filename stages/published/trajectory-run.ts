/** One run of the golden vectors: what is said of it, and what its network is told of each row. */
import * as z from "zod";
import type { Engine } from "../../engine/engine.ts";
import type { InputArray } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { takesGuidance } from "../../models/denoiser.ts";
import type { Embedded, InputShapes } from "../../models/encoders/encoder.ts";
import { textShapeOf } from "../../models/families/published.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import type { Safetensors } from "../../models/weights/safetensors.ts";
import type { DenoiserDescription, DenoiserSpec } from "../../schemas/model.ts";
import { openTextEncoders } from "./text.ts";

/** A trajectory of golden.json. */
export const entrySchema = z.looseObject({
  name: z.string(),
  what: z.string().default(""),
  scheduler: z.string().optional(),
  scheduler_config: z.looseObject({}).default({}),
  num_inference_steps: z.int(),
  noise: z.string(),
  /** Unit noise that each step adds, of schedulers that add some. */
  added: z.string().optional(),
  steps: z.string().optional(),
  latents: z.string(),
  class_labels: z.array(z.int()).optional(),
  prompt: z.string().optional(),
  negative_prompt: z.string().nullish(),
  guidance_scale: z.number().default(1),
  true_cfg_scale: z.number().default(1),
  guidance_rescale: z.number().default(0),
  max_sequence_length: z.int().optional(),
  original_size: z.tuple([z.int(), z.int()]).optional(),
  crops_coords_top_left: z.tuple([z.int(), z.int()]).default([0, 0]),
});
type Entry = z.infer<typeof entrySchema>;

/** What one run is made from. */
export interface Run {
  folder: string;
  path: string;
  entry: Entry;
  engine: Engine;
  teacher: { description: DenoiserDescription; weights: Weights };
  tensors: Safetensors["tensors"];
  prompts: Record<string, string>;
}

/** What the network is told of each row, twice as many where it is guided: those without their condition come last. */
interface Given {
  inputs: InputShapes;
  values: Record<string, InputArray>;
  embedded: (inputs: Record<string, Tensor>) => Embedded;
}

/** What the rows of a run are told, with the text encoders of its folder. */
export async function conditionsOf(options: Run & { spec: DenoiserSpec; isGuided: boolean; rows: number }): Promise<Given> {
  const { entry, spec, isGuided, rows } = options;
  const { classes, network, shape } = spec;
  const copies = isGuided ? 2 : 1;
  const given: Given = { inputs: {}, values: {}, embedded: () => ({}) };
  const tell = (name: string, sides: readonly number[], data: InputArray): void => {
    given.inputs[name] = { shape: [rows * copies, ...sides], ...(data instanceof Int32Array && { dtype: "int32" }) };
    given.values[name] = data;
  };
  const labels = labelsOf(entry);
  if (classes.length > 0)
    tell(
      "label",
      [],
      Int32Array.from({ length: rows * copies }, (_, i) => labels[i] ?? classes.length),
    );
  if (takesGuidance(spec)) tell("guidance", [], new Float32Array(rows * copies).fill(entry.guidance_scale));
  if (entry.original_size) {
    const [height, width] = network.pixels ?? shape;
    const told = [...entry.original_size, ...entry.crops_coords_top_left, height, width];
    tell(
      "size",
      [told.length],
      Float32Array.from({ length: rows * copies * told.length }, (_, i) => told[i % told.length] as number),
    );
  }
  const text = textShapeOf(spec);
  if (text && network.text) {
    const encoders = await openTextEncoders({ ...options, lengths: network.text.lengths, shape: text });
    const prompt = await encoders.embed(options.prompts[entry.prompt ?? ""] ?? "");
    const both = isGuided ? [prompt, await encoders.negative(entry.negative_prompt ?? undefined)] : [prompt];
    for (const { name, from, size, shape: sides } of embeddingParts(text)) {
      const values = both.flatMap((row) => new Array<Float32Array>(rows).fill(row.subarray(from, from + size)));
      tell(name, sides, Float32Array.from(values.flatMap((row) => [...row])));
    }
  }
  given.embedded = ({ tokens, mask, pooled, ...others }) => ({
    ...others,
    ...(tokens && { sequences: [{ tokens, ...(mask && { mask }) }] }),
    ...(pooled && { vector: pooled }),
  });
  return given;
}

/** The classes of a run's rows; those of EDM, which has no pipeline, stand in words. */
function labelsOf({ class_labels: labels, what }: Entry): readonly number[] {
  const [, words = ""] = /\bclasses ([\d, and]+)/.exec(what) ?? [];
  return labels ?? [...words.matchAll(/\d+/g)].map(([number]) => Number(number));
}

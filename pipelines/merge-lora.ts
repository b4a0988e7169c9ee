/**
 * pipeline merge-lora LORAS... --base RUN --out RUN [--scales 1,-0.5]
 *
 * base, LoRAs | checked | base + scale alpha / rank down up | one run
 */
import { addLoras, loraProblems } from "../models/training/lora.ts";
import { listed } from "../models/weights/load.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { type Lora, readLora } from "../stages/runs/lora.ts";
import { type MergeRecipe, recipeInWords, scalesOf, writeMerged } from "../stages/runs/merged.ts";
import { type Denoiser, readCodec, readDenoiser } from "../stages/runs/model.ts";

/**
 * Adds LoRAs (their files, or the runs that trained them) to the network they were trained over, each with its scale: 1 unless
 * told, negative ones take away. The sum is float64 and rounded once; one LoRA with scale 1 gives the run that trained it, to the
 * bit. Codec, tokenizer and captions are the base's, the sampler is the first LoRA's. Throws a Failure where one was trained over
 * other weights, or makes another network of them.
 */
export async function mergeLora(options: {
  base: string;
  loras: string[];
  scales?: string;
  out: string;
  settings: Settings;
  context: Context;
}): Promise<Denoiser> {
  const { base: folder, loras: paths, out, settings, context } = options;
  const scales = options.scales === undefined ? paths.map(() => 1) : scalesOf(options.scales, "--scales");
  if (scales.length !== paths.length) {
    throw badUsage(
      `Cannot use --scales ${options.scales}: these are ${scales.length}, and the LoRAs are ${paths.length}; give one for each`,
    );
  }
  const base = await readDenoiser(folder, context);
  const codec = await readCodec(folder, context);
  const loras = [];
  for (const path of paths) {
    const lora = await readLora(path);
    checkBase({ lora, path, base, folder });
    loras.push(lora);
  }
  const [first] = loras as [(typeof loras)[0]];
  for (const [i, { spec, sampler }] of loras.entries()) {
    if (JSON.stringify(spec) !== JSON.stringify(first.spec)) {
      throw new Failure(
        `Cannot add ${paths[i]} and ${paths[0]} to one network: their students read noise levels or conditions differently. ` +
          "Merge them into runs of their own.",
      );
    }
    if (JSON.stringify(sampler) === JSON.stringify(first.sampler)) continue;
    const message = `${paths[i]} is sampled otherwise than ${paths[0]}, whose way of sampling the sum takes`;
    context.report({ type: "warning", stage: "merge-lora", message });
  }

  const weights = addLoras(
    base.weights,
    loras.map(({ trained, rank, alpha }, i) => ({ trained, scale: (scales[i] as number) * (alpha / rank) })),
  );
  const recipe: MergeRecipe = {
    base: base.description.hash,
    add: loras.map(({ hash }, i) => ({ scale: scales[i] as number, lora: hash })),
  };
  const { sampler: _, ...kept } = base.description;
  const description = { ...kept, role: "student" as const, spec: first.spec, ...(first.sampler && { sampler: first.sampler }) };
  const made = await writeMerged({ out, command: "merge-lora", weights, description, codec, recipe, settings, context });
  const values = { out, sum: recipeInWords(recipe), weights: made.description.hash };
  context.report({ type: "result", stage: "merge-lora", values });
  return made;
}

/** Throws a Failure where a LoRA was not trained over these weights. */
function checkBase({ lora, path, base, folder }: { lora: Lora; path: string; base: Denoiser; folder: string }): void {
  const { description, weights } = base;
  if (lora.base !== description.hash) {
    throw new Failure(
      `Cannot add ${path} to ${folder}: it was trained over weights ${lora.base.slice(0, 12)}, and these are ` +
        `${description.hash.slice(0, 12)}. Name the run it was trained from with --base: its teacher, or its train.from.`,
    );
  }
  const problems = loraProblems(weights, lora.trained, lora.rank);
  if (String(lora.spec.shape) !== String(description.spec.shape)) problems.push(`its latents have shape ${lora.spec.shape}`);
  if (problems.length === 0) return;
  throw new Failure(`Cannot add ${path} to ${folder}: ${listed(problems)}. Name a LoRA as a training wrote it.`);
}

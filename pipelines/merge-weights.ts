/**
 * pipeline merge-weights --base RUN --add RUN --minus RUN --out RUN [--scale C] [--keep PATTERN]
 *
 * three runs | checked | base + C (add - minus) | one run
 */
import { addTask, taskProblems } from "../models/weights/task-vector.ts";
import { listed } from "../models/weights/load.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import type { DenoiserDescription } from "../schemas/model.ts";
import type { Settings } from "../schemas/settings.ts";
import { type MergeRecipe, recipeInWords, scalesOf, writeMerged } from "../stages/runs/merged.ts";
import { type Denoiser, readCodec, readDenoiser } from "../stages/runs/model.ts";

/**
 * Adds what a training has changed (`add` less `minus`, which it started from) to another network of the same layout, times
 * `scale`: theta_a + c (theta_b - theta_0), rounded once. Latents, codec, tokenizer and captions are the base's; what it is, how
 * noise levels enter and how it is sampled are taken from `add`. Parameters that match `keep` stay the base's and may have other
 * shapes there. Throws a Failure where the networks are not of one layout.
 */
export async function mergeWeights(options: {
  base: string;
  add: string;
  minus: string;
  scale?: string;
  keep?: string;
  out: string;
  settings: Settings;
  context: Context;
}): Promise<Denoiser> {
  const { out, settings, context } = options;
  const [scale = 1, ...more] = options.scale === undefined ? [] : scalesOf(options.scale, "--scale");
  if (more.length > 0) throw badUsage(`Cannot set --scale to "${options.scale}": expected one number`);
  const pattern = options.keep === undefined ? undefined : patternOf(options.keep);
  const keep = (name: string): boolean => pattern?.test(name) ?? false;
  const base = await readDenoiser(options.base, context);
  const add = await readDenoiser(options.add, context);
  const minus = await readDenoiser(options.minus, context);
  const codec = await readCodec(options.base, context);

  if (pattern && !Object.keys(base.weights).some(keep)) {
    throw badUsage(`Cannot keep "${options.keep}" (--keep): no parameter of ${options.base} has such a name`);
  }
  for (const [other, folder] of [[add, options.add] as const, [minus, options.minus] as const]) {
    const problems = [
      ...taskProblems({ base: base.weights, other: other.weights, keep }),
      ...differing(base.description, other.description, ["classes", "tokenizer"]),
      ...(other === minus ? differing(base.description, other.description, ["network", "diffusion"]) : []),
    ];
    if (problems.length === 0) continue;
    throw new Failure(
      `Cannot add ${options.add} less ${options.minus} to ${options.base}: ${folder} is another network ` +
        `(${listed(problems)}). Name runs of one network, or what the base shall keep of its own with --keep.`,
    );
  }

  const weights = addTask({ base: base.weights, add: add.weights, minus: minus.weights, scale, keep });
  const recipe: MergeRecipe = {
    base: base.description.hash,
    add: [{ scale, weights: add.description.hash, minus: minus.description.hash }],
    ...(options.keep !== undefined && { keep: options.keep }),
  };
  const { sampler: _, ...kept } = base.description;
  const { role, sampler, spec } = add.description;
  const description = {
    ...kept,
    role,
    ...(sampler && { sampler }),
    spec: { ...base.description.spec, network: spec.network, diffusion: spec.diffusion },
  };
  const made = await writeMerged({ out, command: "merge-weights", weights, description, codec, recipe, settings, context });
  const values = { out, sum: recipeInWords(recipe), weights: made.description.hash };
  context.report({ type: "result", stage: "merge-weights", values });
  return made;
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw badUsage(`Cannot keep "${text}" (--keep): it is no regular expression over names of parameters, as in '^position$'`);
  }
}

/** Of the named parts of two descriptions, those that are not alike. */
function differing(
  one: DenoiserDescription,
  other: DenoiserDescription,
  keys: readonly ("classes" | "tokenizer" | "network" | "diffusion")[],
) {
  const partOf = ({ spec, tokenizer }: DenoiserDescription, key: (typeof keys)[number]) =>
    JSON.stringify(key === "tokenizer" ? tokenizer : spec[key]);
  return keys.filter((key) => partOf(one, key) !== partOf(other, key)).map((key) => `its ${key} differs`);
}

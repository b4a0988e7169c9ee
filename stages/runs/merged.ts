/** Run folders whose network was added up of others: written as trainings write theirs, with what they are made of in run.json. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { notFinite } from "../../models/weights/load.ts";
import type { Context } from "../../schemas/events.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { inFolder, markFolder, readMark } from "./folder.ts";
import { type Codec, type Denoiser, writeCodec, writeModel } from "./model.ts";
import { writeSettings } from "./settings-file.ts";

const term = z.strictObject({
  scale: z.number(),
  lora: z.string().optional(), // hash of a LoRA's tensors
  weights: z.string().optional(), // or of a network's weights, less those of another
  minus: z.string().optional(),
});
const recipe = z.strictObject({ base: z.string(), add: z.array(term), keep: z.string().optional() });

/** What a network was added up of, by hashes: a function of it alone are the weights. */
export type MergeRecipe = z.infer<typeof recipe>;

/**
 * Writes a network that was added up, with its codec, settings and recipe. The same command again writes the same bytes. Throws a
 * Failure where the weights are not finite, and where the folder holds another network.
 */
export async function writeMerged(options: {
  out: string;
  /** "merge-lora", "merge-weights". */
  command: string;
  weights: Weights;
  description: Omit<DenoiserDescription, "hash">;
  codec: Codec;
  recipe: MergeRecipe;
  settings: Settings;
  context: Context;
}): Promise<Denoiser> {
  const { out, command, weights, codec, settings, context } = options;
  const wrong = notFinite(weights);
  if (wrong !== undefined) throw new Failure(`Cannot ${command} into ${out}: of the sum ${wrong}. Choose a lesser scale.`);
  const description = { ...options.description, hash: hashWeights(weights) };
  const { role: kind } = description;
  return inFolder({ folder: out, kind, command, context }, async () => {
    const identity = { merged: options.recipe };
    const mark = await readMark(out);
    const isOther = JSON.stringify(mark?.identity) !== JSON.stringify(identity);
    if (isOther && (mark || existsSync(join(out, "model.json")))) {
      throw new Failure(`Cannot ${command} into ${out}: it holds another network. Name another folder, or an empty one.`);
    }
    await markFolder(out, { kind, identity });
    await writeSettings(out, settings, context);
    await writeCodec(out, codec);
    await writeModel(out, { description, weights });
    return { description, weights };
  });
}

/** What the network of a run folder was added up of; undefined where it was trained. */
export async function mergeRecipeOf(folder: string): Promise<MergeRecipe | undefined> {
  const identity = (await readMark(folder))?.identity as { merged?: unknown } | undefined;
  return recipe.safeParse(identity?.merged).data;
}

/** A recipe as a sum, "12ab... + 0.5 x LoRA 34cd...", each hash by its first digits. */
export function recipeInWords({ base, add, keep }: MergeRecipe): string {
  const short = (hash = ""): string => hash.slice(0, 12);
  const terms = add.map(({ scale, lora, weights, minus }) => {
    const what = lora === undefined ? `(${short(weights)} - ${short(minus)})` : `LoRA ${short(lora)}`;
    return `${scale < 0 ? "-" : "+"} ${Math.abs(scale)} x ${what}`;
  });
  return [short(base), ...terms].join(" ") + (keep === undefined ? "" : ` but ${keep}`);
}

/** The scales that a flag lists. Throws a usage failure for what is no finite number. */
export function scalesOf(text: string, flag: string): number[] {
  return text.split(",").map((each) => {
    const value = each.trim() === "" ? Number.NaN : Number(each);
    if (Number.isFinite(value)) return value;
    throw badUsage(`Cannot set ${flag} to "${text}": expected finite numbers such as 1, 0.5 or -1, and "${each}" is none`);
  });
}

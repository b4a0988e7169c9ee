/** What a training has made of its folder, where its checkpoints are gone. */
import { namesIn } from "../../store/places/atomic.ts";
import type { Product } from "../../methods/method.ts";
import { readMark } from "../runs/folder.ts";

/**
 * What stands finished in a run folder, in words; undefined where nothing does. A codec stands beside every denoiser from the
 * beginning, and is a result where the folder says that it is an autoencoder's, or does not say what it is for.
 */
export async function productOf(folder: string, makes: Product): Promise<string | undefined> {
  const names = await namesIn(folder);
  if (names.includes("model.json") || names.includes("weights.safetensors")) return "a finished network";
  if (!names.includes("codec.json")) return undefined;
  const mark = await readMark(folder);
  return mark === undefined || makes === "autoencoder" ? "a codec" : undefined;
}

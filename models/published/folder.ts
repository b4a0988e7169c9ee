/** The folder of a part of a published pipeline: its config.json and the weights beside it, as diffusers and transformers write them. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { shapesAlone, type Weights, type WeightsHash } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { openWeights } from "../weights/load.ts";
import { type Asked, readAhead } from "../weights/read-ahead.ts";
import type { StoredTensor } from "../weights/stored.ts";
import { fromTorch, type TorchNames, torchPlaces } from "./torch.ts";

/** File names of weights without their variant and ending, the likeliest first. */
const STEMS = ["diffusion_pytorch_model", "model", "network"];
/** Variants, the most exact first; any other, as ".bf16", comes after these. */
const VARIANTS = ["", ".fp16"];
/** A file of weights or the index of several: stem, variant, whether it is an index, and where that has the variant instead. */
const WEIGHTS = /^([a-z_]+)(\.\w+)?\.safetensors(\.index(\.\w+)?\.json)?$/;
/** Endings of pickled weights. */
export const PICKLES = /\.(bin|ckpt|pt|pth|pkl)$/;

/** A part's config.json. Throws a Failure where there is none. */
export async function readPartConfig(folder: string): Promise<{ file: string; json: object }> {
  const file = join(folder, "config.json");
  const text = await readFile(file, "utf8").catch(absent);
  const json = parsedJson(text);
  if (typeof json !== "object" || json === null) {
    const found = text === undefined ? "there is none" : "it is not a JSON object";
    throw new Failure(`Cannot read ${file}: ${found}. Name a folder that a library's save_pretrained wrote.`);
  }
  return { file, json };
}

/** The class that a config.json names; EDM's calls it `class_name`. */
export function classOf(json: object): string {
  const { _class_name: kind, class_name: other, architectures } = json as Record<string, unknown>;
  return String(kind ?? other ?? (Array.isArray(architectures) ? architectures[0] : undefined));
}

/** The file of a part's weights, or the index of several. */
export async function weightsIn(folder: string): Promise<string> {
  const names = await readdir(folder);
  const known = names.flatMap((name) => {
    const [, stem = "", variant = "", index = "", other = ""] = WEIGHTS.exec(name) ?? [];
    const place = VARIANTS.indexOf(variant + other);
    const order = [STEMS.indexOf(stem), place < 0 ? VARIANTS.length : place, index === "" ? 0 : 1];
    return STEMS.includes(stem) ? [{ name, order: order.join() }] : [];
  });
  const [found] = known.sort((a, b) => (a.order + a.name < b.order + b.name ? -1 : 1)).map(({ name }) => name);
  if (found !== undefined) return join(folder, found);
  const pickle = names.find((name) => PICKLES.test(name));
  const remedy = pickle
    ? `${pickle} is a pickle, which can run anything; load it where you trust it, and save_pretrained(FOLDER, safe_serialization=True)`
    : `expected ${STEMS[0]}.safetensors or model.safetensors`;
  throw new Failure(`Cannot find weights in ${folder}: ${remedy}.`);
}

/**
 * Weights of a file, or of several by their index, under our names and in our layouts. Throws a Failure where a file is missing or torn,
 * has a parameter twice, or an element that is not finite. `hash` is given each tensor as it comes, in the order of our names.
 */
export async function readPublished(path: string, names: TorchNames, hash?: WeightsHash): Promise<Weights> {
  const { tensors } = await openWeights(path);
  const asked = refusing(path, () => torchPlaces(tensors, names)).map(([written, own, order]): Asked => {
    return [own, tensors[written] as StoredTensor, { isChecked: true, ...(order && { order }) }];
  });
  if (hash) asked.sort(([a], [b]) => (a < b ? -1 : 1)); // as hashWeights sorts them
  const weights: Weights = {};
  for await (const [own, tensor] of readAhead(asked)) {
    weights[own] = tensor;
    hash?.add(own, tensor);
  }
  return weights;
}

/**
 * The same with shapes alone: no tensor is read, and none has elements. A file of any size tells its header in a moment.
 */
export async function readPublishedShapes(path: string, names: TorchNames): Promise<Weights> {
  return inOurLayout(path, shapesAlone((await openWeights(path)).tensors), names);
}

/** Tensors as PyTorch has them under our names. Throws a Failure that names `place` where two have the same. */
export function inOurLayout(place: string, stored: Weights, names: TorchNames): Weights {
  return refusing(place, () => fromTorch(stored, names));
}

/** What `make` makes; what it throws becomes a Failure that names the place. */
function refusing<T>(place: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new Failure(`Cannot use ${place}: ${(error as Error).message}. Fetch it again.`, { cause: error });
  }
}

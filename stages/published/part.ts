/** A part of a published pipeline's folder: its config.json and the weights beside it, as diffusers and transformers write them. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../../engine/weights.ts";
import type { BoundNetwork } from "../../models/published/network.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { fromTorch } from "../../models/published/torch.ts";
import { openWeights } from "../../models/weights/load.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";

export interface PublishedPart {
  network: BoundNetwork;
  /** Under our names and in our layouts. */
  weights: Weights;
}

/** File names of weights without their variant and ending, the likeliest first. */
const STEMS = ["diffusion_pytorch_model", "model", "network"];
/** Endings of pickled weights. */
export const PICKLES = /\.(bin|ckpt|pt|pth|pkl)$/;

/**
 * Reads a part with float32 weights, of a file or of several by their index; float16 variants serve where there is nothing else. Throws a
 * Failure where the config or a value of it is not understood, where weights are missing, or pickled.
 */
export async function readPart(folder: string): Promise<PublishedPart> {
  const { file, json } = await readPartConfig(folder);
  const network = publishedNetwork({ json, file });
  return { network, weights: await readPublished(await weightsIn(folder), network) };
}

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

/** The file of a part's weights, or the index of several. */
export async function weightsIn(folder: string): Promise<string> {
  const names = await readdir(folder);
  const wanted = STEMS.flatMap((stem) =>
    ["", ".fp16"].flatMap((variant) => [
      `${stem}${variant}.safetensors`,
      `${stem}.safetensors.index${variant}.json`,
      `${stem}${variant}.safetensors.index.json`,
    ]),
  );
  const found = wanted.find((name) => names.includes(name));
  if (found !== undefined) return join(folder, found);
  const pickle = names.find((name) => PICKLES.test(name));
  const remedy = pickle
    ? `${pickle} is a pickle, which can run anything; load it where you trust it, and save_pretrained(FOLDER, safe_serialization=True)`
    : `expected ${STEMS[0]}.safetensors or model.safetensors`;
  throw new Failure(`Cannot find weights in ${folder}: ${remedy}.`);
}

async function readPublished(path: string, network: BoundNetwork): Promise<Weights> {
  const { tensors } = await openWeights(path);
  const { today = (name: string) => name } = network.names;
  const stored: Weights = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    if (today(name) !== undefined) stored[name] = { shape: tensor.shape, data: await tensor.read() };
  }
  return inOurLayout(path, stored, network);
}

/** Tensors as PyTorch has them under our names. Throws a Failure that names `place` where two have the same. */
export function inOurLayout(place: string, stored: Weights, { names }: BoundNetwork): Weights {
  try {
    return fromTorch(stored, names);
  } catch (error) {
    throw new Failure(`Cannot use ${place}: ${(error as Error).message}. Fetch it again.`, { cause: error });
  }
}

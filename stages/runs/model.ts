/** Reads and writes the networks of run folders: denoisers, codecs and perceptual networks, each with its description. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type * as z from "zod";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { type Codec, codecDescription, codecOfSettings, isPixels } from "../../models/codecs/codecs.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { Failure } from "../../schemas/failure.ts";
import { type DenoiserDescription, denoiserDescription, type PerceptualDescription, perceptualDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { writeAtomic } from "../../store/atomic.ts";
import { loadWeights, saveWeights } from "./weights-file.ts";

export type { Codec };

export interface Network<D> {
  description: D;
  weights: Weights;
}

export type Denoiser = Network<DenoiserDescription>;
export type Perceptual = Network<PerceptualDescription>;

/** Writes a denoiser or perceptual network: weights first, so that a description never stands without them. */
export async function writeModel(folder: string, model: Denoiser | Perceptual, dtype: "F32" | "F16" = "F32"): Promise<void> {
  await saveWeights({ path: join(folder, "weights.safetensors"), weights: model.weights, dtype });
  await writeAtomic(join(folder, "model.json"), `${JSON.stringify(model.description, null, 2)}\n`);
}

/** Reads the teacher or student of a run folder. */
export async function readDenoiser(folder: string): Promise<Denoiser> {
  return readNetwork(folder, "model", "weights", denoiserDescription, "`pipeline pretrain teacher` or `pipeline train`");
}

/**
 * The weights of an earlier run, to start another one from; the setting `named` has its folder. Throws a Failure where
 * it is another network, or reads other latents or conditions.
 */
export async function startFrom(folder: string, spec: DenoiserSpec, named: string): Promise<Weights> {
  const { description, weights } = await readDenoiser(folder);
  if (JSON.stringify(description.spec) === JSON.stringify(spec)) return weights;
  throw new Failure(
    `Cannot start from ${folder}: its network, latents or classes are others. Name a run of the same settings, or leave ${named} out.`,
  );
}

/** Reads the perceptual network of a run folder. */
export async function readPerceptual(folder: string): Promise<Perceptual> {
  return readNetwork(folder, "model", "weights", perceptualDescription, "`pipeline pretrain perceptual`");
}

/** Writes a codec into a folder, so that what the folder holds can be decoded from the folder alone. */
export async function writeCodec(folder: string, codec: Codec, dtype: "F32" | "F16" = "F32"): Promise<void> {
  await saveWeights({ path: join(folder, "codec.safetensors"), weights: codec.weights, dtype });
  await writeAtomic(join(folder, "codec.json"), `${JSON.stringify(codec.description, null, 2)}\n`);
}

/** Reads the codec of a latent store, triple store or run folder. */
export async function readCodec(folder: string): Promise<Codec> {
  const maker = "`pipeline ingest` or a training command";
  return readNetwork(folder, "codec", "codec", codecDescription, maker, ({ kind }) => !isPixels(kind));
}

/** The codec that the settings ask for, at the size of the images. */
export async function openCodec(settings: Pick<Settings, "encoder" | "images">): Promise<Codec> {
  return codecOfSettings(settings, readCodec);
}

async function readNetwork<D extends { hash: string }>(
  folder: string,
  name: string,
  weightsName: string,
  schema: z.ZodType<D>,
  maker: string,
  hasWeights: (description: D) => boolean = () => true,
): Promise<Network<D>> {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) {
    throw new Failure(`Cannot read a network from "${folder}": there is no ${name}.json. Name a folder that ${maker} made.`);
  }
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new Failure(`Cannot read ${path}: it is not JSON (${(cause as Error).message}). Make the folder anew.`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`);
    throw new Failure(`Cannot use ${path}: ${problems.slice(0, 3).join("; ")}. Name a folder that ${maker} made.`);
  }
  if (!hasWeights(parsed.data)) return { description: parsed.data, weights: {} };
  const file = join(folder, `${weightsName}.safetensors`);
  const { weights } = await loadWeights(file);
  if (hashWeights(weights) !== parsed.data.hash) {
    throw new Failure(`Cannot trust ${file}: its hash is not the one ${name}.json records. Make the folder anew.`);
  }
  return { description: parsed.data, weights };
}

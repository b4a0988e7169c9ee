/** Reads and writes the networks of run folders: denoisers, codecs and perceptual networks, each with its description. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type * as z from "zod";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { latentShape } from "../../models/codecs/autoencoder.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { findTaesd, loadTaesd } from "../../models/codecs/taesd.ts";
import { Failure } from "../../schemas/failure.ts";
import {
  type CodecDescription,
  codecDescription,
  type DenoiserDescription,
  denoiserDescription,
  type PerceptualDescription,
  perceptualDescription,
} from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { writeAtomic } from "../../store/atomic.ts";
import { loadWeights, saveWeights } from "./weights-file.ts";

export interface Network<D> {
  description: D;
  weights: Weights;
}

export type Codec = Network<CodecDescription>;
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
  return readNetwork(folder, "codec", "codec", codecDescription, "`pipeline ingest` or a training command");
}

/** The codec that the settings ask for, at the size of the images. */
export async function openCodec(settings: Pick<Settings, "encoder" | "images">): Promise<Codec> {
  const { kind, path } = settings.encoder;
  const imageSize = settings.images.size;
  if (kind === "pixel") {
    return { description: { kind, imageSize, shape: [imageSize, imageSize, 3], hash: "pixel" }, weights: {} };
  }
  if (!path) {
    throw new Failure(`Cannot encode with "${kind}": encoder.path is not set. Name its folder with --set encoder.path=FOLDER.`, {
      exitCode: 2,
    });
  }
  if (kind === "taesd") {
    const { config, weights } = await loadTaesd(findTaesd(path));
    const side = imageSize / config.downsample;
    if (!Number.isInteger(side)) {
      throw new Failure(
        `Cannot encode images of ${imageSize} px: the encoder in ${path} needs a multiple of ${config.downsample} (images.size)`,
      );
    }
    return { description: { kind, imageSize, shape: [side, side, config.latentChannels], hash: hashWeights(weights), config }, weights };
  }
  const { description, weights } = await readCodec(path);
  if (description.kind !== "autoencoder") {
    throw new Failure(`Cannot encode with ${path}: it holds a "${description.kind}" codec. Name a RUN of \`pretrain autoencoder\`.`);
  }
  return { description: { ...description, imageSize, shape: latentShape(description.config, imageSize) }, weights };
}

async function readNetwork<D extends { hash: string }>(
  folder: string,
  name: string,
  weightsName: string,
  schema: z.ZodType<D>,
  maker: string,
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
  if (parsed.data.hash === "pixel") return { description: parsed.data, weights: {} }; // nothing to load
  const file = join(folder, `${weightsName}.safetensors`);
  const { weights } = await loadWeights(file);
  if (hashWeights(weights) !== parsed.data.hash) {
    throw new Failure(`Cannot trust ${file}: its hash is not the one ${name}.json records. Make the folder anew.`);
  }
  return { description: parsed.data, weights };
}

/**
 * A published pipeline as a teacher: its denoiser's description as a run folder would have it, with its weights. What the folder
 * says of network and schedule is kept as it is, so that a student's folder stands alone.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { shapesAlone } from "../../engine/planner.ts";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import type { Codec } from "../../models/codecs/codec.ts";
import { autoencoderKl, downsampleOf, latentScale } from "../../models/codecs/kl.ts";
import { kl } from "../../models/codecs/kl-codec.ts";
import { klLayout } from "../../models/codecs/kl-layout.ts";
import { pixel } from "../../models/codecs/pixel.ts";
import { flowLayouts } from "../../models/diffusion/published-flow.ts";
import { readPartConfig, readPublished, readPublishedShapes, weightsIn } from "../../models/published/folder.ts";
import { type PublishedDenoiser, readConfig } from "../../models/published/network.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import type { TorchNames } from "../../models/published/torch.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { anyDiffusion, anyNetwork } from "../../schemas/settings.ts";
import type { Statistics } from "../../store/statistics.ts";
import { isPublished } from "./describe.ts";
import { readScheduleJson } from "./schedules.ts";
import { readTextSettings } from "./text-files.ts";

/** Parts that a denoiser may be: of pipelines by their folders, and a network alone in the folder itself. */
const PARTS = ["unet", "transformer", ""];

/** Whether a folder holds a published teacher, in place of a run's model.json. */
export const isPublishedTeacher = (folder: string): boolean =>
  !existsSync(join(folder, "model.json")) && (isPublished(folder) || existsSync(join(folder, "network.safetensors")));

/** The denoiser of a folder by its config alone. Throws a Failure where there is none, or one that cannot be a teacher yet. */
async function denoiserIn(folder: string): Promise<{ at: string; json: object; names: TorchNames; denoiser: PublishedDenoiser }> {
  const part = PARTS.find((name) => existsSync(join(folder, name, "config.json")));
  if (part === undefined) {
    throw new Failure(
      `Cannot read a teacher from ${folder}: it has no part of ${PARTS.filter(Boolean).join(" or ")}. Name a whole pipeline's folder.`,
    );
  }
  const at = join(folder, part);
  const { file, json } = await readPartConfig(at);
  const { denoiser, names } = publishedNetwork({ json, file });
  if (denoiser) return { at, json, names, denoiser };
  throw new Failure(
    `Cannot take ${at} as a teacher: it is no network that predicts noise or the like. Name the folder of a pipeline from text or class ` +
      "to image.",
  );
}

/** A published teacher before its weights are read: all but their hash, the file they lie in, and what it calls them. */
interface Described {
  description: Omit<DenoiserDescription, "hash">;
  file: string;
  names: TorchNames;
}

async function describeTeacher(folder: string, { isHashed = true } = {}): Promise<Described> {
  const { at, json, names, denoiser } = await denoiserIn(folder);
  const { shape, conditions } = denoiser;
  const { classes = 0 } = conditions;
  const { mean, std, sigmaData, factor } = await latentsOf(folder, shape[2]);
  const condition = conditions.text ? "caption" : classes > 0 ? "class" : "none";
  const text = conditions.text && (await readTextSettings(folder, { isHashed }));
  const pixels = shape.slice(0, 2).map((side) => side * factor); // networks that read texts may be told the picture's size too
  const spec: DenoiserDescription["spec"] = {
    shape: [...shape] as [number, number, number],
    network: anyNetwork.parse({ kind: "published", condition, published: json, ...(text && { text, pixels }) }),
    diffusion: await diffusionOf({ folder, json, sigmaData, pipeline: text?.pipeline }),
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    vocabulary: 0,
  };
  const ends = (side: number): number[] => mean.map((middle, i) => middle + side * 2 * (std[i] as number));
  const statistics: Statistics = { mean, std, min: ends(-1), max: ends(1), nonFinite: 0 }; // the ends are nobody's measurement
  const textEncoders = text && resolve(folder);
  const description = { role: "teacher" as const, spec, statistics, captions: [], ...(textEncoders !== undefined && { textEncoders }) };
  return { description, file: await weightsIn(at), names };
}

/**
 * The teacher of a folder that diffusers wrote, or of an EDM network (network.safetensors beside config.json). Throws a Failure where
 * a part, a key or a value is not understood, and where the network is conditioned on what cannot be given yet.
 */
export async function readPublishedTeacher(folder: string): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, file, names } = await describeTeacher(folder);
  const weights = await readPublished(file, names);
  return { description: { ...description, hash: hashWeights(weights) }, weights };
}

/** The same with weights that have shapes and no elements, and no hash: none of them is read. */
export async function planPublishedTeacher(folder: string): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, file, names } = await describeTeacher(folder, { isHashed: false });
  return { description: { ...description, hash: "" }, weights: await readPublishedShapes(file, names) };
}

/** What a teacher's latents are: pixels in [-1, 1], or an autoencoder's, shifted and scaled as its config says. */
interface Latents {
  /** The codec of latents with so many a side. */
  codec: (side: number) => Promise<Codec>;
  /** The same with weights that have shapes and no elements. */
  planned: (side: number) => Promise<Codec>;
  /** Pixels of the picture a side of each. */
  factor: number;
  sigmaData: number;
  mean: number[];
  /** Standard deviation that normalisation (x - mean) / std * sigmaData takes for the published scale. */
  std: number[];
}

async function latentsOf(folder: string, channels: number): Promise<Latents> {
  const each = (value: number): number[] => new Array<number>(channels).fill(value);
  const path = join(folder, "vae");
  if (!existsSync(path)) {
    const codec = (side: number): Promise<Codec> => pixel.open({ imageSize: side, read: unread });
    return { codec, planned: codec, factor: 1, sigmaData: PIXEL_DEVIATION, mean: each(0), std: each(PIXEL_DEVIATION) };
  }
  const config = readConfig(autoencoderKl.config, await readPartConfig(path));
  const { mean, scale } = latentScale(config);
  const factor = downsampleOf(config);
  const codec = (side: number): Promise<Codec> => kl.open({ path, imageSize: side * factor, read: unread });
  const planned = async (side: number): Promise<Codec> => {
    const imageSize = side * factor;
    const weights = shapesAlone(klLayout(config));
    return { description: { kind: kl.kind, imageSize, shape: kl.latent(config, imageSize), hash: "", config }, weights };
  };
  return { codec, planned, factor, sigmaData: 1, mean, std: scale.map((factor) => 1 / factor) };
}

/** A published codec is no run's. */
const unread = (folder: string): Promise<Codec> => Promise.reject(new Error(`${folder} is not to be read`));

/** Of images between -1 and 1, as EDM has it; scaled latents have about 1. */
const PIXEL_DEVIATION = 0.5;

/** EDM's own levels, or those of the pipeline's schedule. */
async function diffusionOf(options: {
  folder: string;
  json: object;
  sigmaData: number;
  pipeline?: string | undefined;
}): Promise<DenoiserDescription["spec"]["diffusion"]> {
  const { folder, json, sigmaData, pipeline } = options;
  if (!isPublished(folder)) return anyDiffusion.parse({ parameterisation: "edm", sigmaData: (json as { sigma_data?: number }).sigma_data });
  const schedule = await readScheduleJson(folder);
  const flow = flowLayouts[pipeline ?? ""];
  return anyDiffusion.parse({ parameterisation: "vp-epsilon", sigmaData, schedule, ...(flow && { flow }) });
}

/** The codec of a published teacher's latents, at the size that it was trained on. */
export async function readPublishedCodec(folder: string): Promise<Codec> {
  const [side, , channels] = (await denoiserIn(folder)).denoiser.shape;
  return (await latentsOf(folder, channels)).codec(side);
}

/** The same with weights that have shapes and no elements. */
export async function planPublishedCodec(folder: string): Promise<Codec> {
  const [side, , channels] = (await denoiserIn(folder)).denoiser.shape;
  return (await latentsOf(folder, channels)).planned(side);
}

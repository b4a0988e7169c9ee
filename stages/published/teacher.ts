/**
 * A published pipeline as a teacher: its denoiser's description as a run folder would have it, with its weights. What the folder
 * says of network and schedule is kept as it is, so that a student's folder stands alone.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { hashWeights, shapesAlone, type Weights } from "../../engine/weights.ts";
import type { Codec } from "../../models/codecs/codec.ts";
import { autoencoderKl, downsampleOf, latentScale } from "../../models/codecs/kl.ts";
import { kl } from "../../models/codecs/kl-codec.ts";
import { klLayout } from "../../models/codecs/kl-layout.ts";
import { pixel } from "../../models/codecs/pixel.ts";
import { flowLayouts } from "../../models/diffusion/published-flow.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { type PublishedDenoiser, readConfig } from "../../models/published/network.ts";
import { hasPart, openPart, type PartFiles } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import type { TorchNames } from "../../models/published/torch.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription, LoraRequest } from "../../schemas/model.ts";
import { anyDiffusion, anyNetwork } from "../../schemas/settings.ts";
import type { Statistics } from "../../store/statistics.ts";
import { isPublished } from "./describe.ts";
import { addLoraFiles } from "./lora.ts";
import { readScheduleJson } from "./schedules.ts";
import { readTextSettings } from "./text-files.ts";

/** Parts that a denoiser may be: of pipelines by their folders, and a network alone in the folder itself. */
const PARTS = ["unet", "transformer", ""] as const;
export type DenoiserPart = (typeof PARTS)[number];

/** Whether a folder holds a published teacher, in place of a run's model.json. */
export const isPublishedTeacher = (folder: string): boolean =>
  !existsSync(join(folder, "model.json")) && (isPublished(folder) || existsSync(join(folder, "network.safetensors")));

interface Found extends Pick<PartFiles, "json" | "read" | "shapes"> {
  /** Its folder's name; "" where it is the folder itself. */
  part: DenoiserPart;
  names: TorchNames;
  denoiser: PublishedDenoiser;
}

/** The part of a pipeline that is its denoiser. */
async function partIn(folder: string): Promise<DenoiserPart | undefined> {
  for (const part of PARTS) if (await hasPart(join(folder, part))) return part;
  return undefined;
}

/** The denoiser of a folder by its config alone. Throws a Failure where there is none, or one that cannot be a teacher yet. */
export async function openDenoiser(folder: string): Promise<Found> {
  const part = await partIn(folder);
  if (part === undefined) {
    throw new Failure(
      `Cannot read a teacher from ${folder}: it has no part of ${PARTS.filter(Boolean).join(" or ")}. Name a whole pipeline's folder.`,
    );
  }
  const at = join(folder, part);
  const { file, json, read, shapes } = await openPart(at);
  const { denoiser, names } = publishedNetwork({ json, file });
  if (denoiser) return { part, json, read, shapes, names, denoiser };
  throw new Failure(
    `Cannot take ${at} as a teacher: it is no network that predicts noise or the like. Name the folder of a pipeline from text or class ` +
      "to image.",
  );
}

/** A published teacher before its weights are read: all but their hash, and the part that they are of. */
interface Described extends Pick<Found, "part" | "read" | "shapes" | "names"> {
  description: Omit<DenoiserDescription, "hash">;
}

interface Describing {
  loras?: readonly LoraRequest[];
  /** Whether files of the text side are read for their hash; a plan does without. */
  isHashed?: boolean;
}

async function describeTeacher(folder: string, { loras = [], isHashed = true }: Describing = {}): Promise<Described> {
  const { denoiser, json, ...found } = await openDenoiser(folder);
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
  const added = loras.map(({ path, scale }) => ({ path: resolve(path), scale }));
  const source = { path: resolve(folder), ...(added.length > 0 && { loras: added }) };
  const description = { role: "teacher" as const, spec, statistics, captions: [], source, ...(text && { textEncoders: source.path }) };
  return { description, ...found };
}

/**
 * The teacher of a folder that diffusers wrote, of Stable Diffusion in one file, or of an EDM network (network.safetensors beside
 * config.json), with LoRAs added. Throws a Failure where a part, a key or a value is not understood, and where the network is
 * conditioned on what cannot be given yet.
 */
export async function readPublishedTeacher(
  folder: string,
  loras: readonly LoraRequest[] = [],
): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, part, read, names } = await describeTeacher(folder, { loras });
  const changed = part || "unet";
  const weights = await addLoraFiles({ weights: await read(names), part: changed, names, loras, changed: [changed] });
  return { description: { ...description, hash: hashWeights(weights) }, weights };
}

/** The same with weights that have shapes and no elements, and no hash: none of them is read. */
export async function planPublishedTeacher(folder: string): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, shapes, names } = await describeTeacher(folder, { isHashed: false });
  return { description: { ...description, hash: "" }, weights: await shapes(names) };
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
  if (!(await hasPart(path))) {
    const codec = (side: number): Promise<Codec> => pixel.open({ imageSize: side, read: unread });
    return { codec, planned: codec, factor: 1, sigmaData: PIXEL_DEVIATION, mean: each(0), std: each(PIXEL_DEVIATION) };
  }
  const config = readConfig(autoencoderKl.config, await openPart(path));
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

/** EDM's own levels, or those of the pipeline's schedule: the highest is where its walks begin, and where a student is asked. */
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
  const diffusion = anyDiffusion.parse({ parameterisation: "vp-epsilon", sigmaData, schedule, ...(flow && { flow }) });
  return { ...diffusion, sigmaMax: createParameterisation(diffusion).sigmaMax };
}

/** The codec of a published teacher's latents, at the size that it was trained on. */
export async function readPublishedCodec(folder: string): Promise<Codec> {
  const [side, , channels] = (await openDenoiser(folder)).denoiser.shape;
  return (await latentsOf(folder, channels)).codec(side);
}

/** The same with weights that have shapes and no elements. */
export async function planPublishedCodec(folder: string): Promise<Codec> {
  const [side, , channels] = (await openDenoiser(folder)).denoiser.shape;
  return (await latentsOf(folder, channels)).planned(side);
}

/**
 * A published pipeline as a teacher: its denoiser's description as a run folder would have it, with its weights. What the folder
 * says of network and schedule is kept as it is, so that a student's folder stands alone.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { hashWeights, startHash, type Weights } from "../../engine/weights.ts";
import type { Codec } from "../../models/codecs/codec.ts";
import { flowLayouts } from "../../models/diffusion/published-flow.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import type { BoundNetwork, PublishedDenoiser } from "../../models/published/network.ts";
import { hasPart, openPart, type PartFiles } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSize } from "../../schemas/images.ts";
import type { DenoiserDescription, LoraRequest } from "../../schemas/model.ts";
import { anyDiffusion, anyNetwork } from "../../schemas/settings.ts";
import type { Statistics } from "../../store/records/statistics.ts";
import { isPublished } from "./describe.ts";
import { checkDenoiser } from "./complete.ts";
import { type Latents, latentsOf, type Sides } from "./latents.ts";
import { addLoraFiles } from "./lora.ts";
import { readScheduleJson } from "./schedules.ts";
import { latentsOfSize } from "./size.ts";
import { checkTextEncoders, readTextSettings } from "./text-files.ts";
import { textLorasOf } from "./text-loras.ts";

/** Parts that a denoiser may be: of pipelines by their folders, and a network alone in the folder itself. */
const PARTS = ["unet", "transformer", ""] as const;
export type DenoiserPart = (typeof PARTS)[number];

/** Whether a folder holds a published teacher, in place of a run's model.json. */
export const isPublishedTeacher = (folder: string): boolean =>
  !existsSync(join(folder, "model.json")) && (isPublished(folder) || existsSync(join(folder, "network.safetensors")));

interface Found extends Pick<PartFiles, "json" | "read" | "shapes">, Pick<BoundNetwork, "names" | "spare" | "told"> {
  /** Its folder's name; "" where it is the folder itself. */
  part: DenoiserPart;
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
  const { denoiser, names, told, spare } = publishedNetwork({ json, file });
  if (denoiser) return { part, json, read, shapes, names, told, denoiser, ...(spare && { spare }) };
  throw new Failure(
    `Cannot take ${at} as a teacher: it is no network that predicts noise or the like. Name the folder of a pipeline from text or class ` +
      "to image.",
  );
}

/** A published teacher before its weights are read: all but their hash, and the part that they are of. */
interface Described extends Pick<Found, "part" | "read" | "names"> {
  /** The shapes of its weights, which are those that its network reads. */
  shapes: Weights;
  description: Omit<DenoiserDescription, "hash">;
}

/** How a teacher is taken: with LoRAs, at another size of pictures than it was trained on, with so many tokens for T5. */
export interface Taking {
  loras?: readonly LoraRequest[] | undefined;
  size?: ImageSize | undefined;
  textLength?: number | undefined;
}

interface Describing extends Taking {
  /** Whether files of the text side are read for their hash; a plan does without. */
  isHashed?: boolean;
}

async function describeTeacher(folder: string, { loras = [], size, textLength, isHashed = true }: Describing = {}): Promise<Described> {
  const { denoiser, json, part, read, names, ...found } = await openDenoiser(folder);
  const { shape: trained, conditions } = denoiser;
  const { classes = 0 } = conditions;
  const { mean, std, sigmaData, factor } = await latentsOf(folder, trained[2]);
  const sides = sidesAt({ folder, size, denoiser, factor });
  const condition = conditions.text ? "caption" : classes > 0 ? "class" : "none";
  const added = loras.map(({ path, scale }) => ({ path: resolve(path), scale }));
  const textLoras = await textLorasOf({ folder, loras: added, denoiser: part || "unet", readsTexts: conditions.text !== undefined });
  const text = conditions.text && (await readTextSettings(folder, { textLength, isHashed, loras: textLoras }));
  const pixels = sides.map((side) => side * factor); // networks that read texts may be told the picture's size too
  const spec: DenoiserDescription["spec"] = {
    shape: [...sides, trained[2]],
    network: anyNetwork.parse({ kind: "published", condition, published: json, ...(text && { text, pixels }) }),
    diffusion: await diffusionOf({ folder, json, sigmaData, pipeline: text?.pipeline }),
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    vocabulary: 0,
  };
  const ends = (side: number): number[] => mean.map((middle, i) => middle + side * 2 * (std[i] as number));
  const statistics: Statistics = { mean, std, min: ends(-1), max: ends(1), nonFinite: 0 }; // the ends are nobody's measurement
  const source = { path: resolve(folder), ...(added.length > 0 && { loras: added }) };
  const description = {
    role: "teacher" as const,
    spec,
    statistics,
    captions: [],
    source,
    ...(text && { textEncoders: source.path }),
    ...(textLoras.length > 0 && { textLoras }),
  };
  const shapes = await found.shapes(names);
  await checkDenoiser({ place: join(folder, part), network: found, denoiser, spec, shapes });
  if (text) await checkTextEncoders(folder, text.lengths);
  return { description, part, read, names, shapes };
}

/**
 * The teacher of a folder that diffusers wrote, of Stable Diffusion in one file, or of an EDM network (network.safetensors beside
 * config.json), with LoRAs added, for pictures of `size`, its own unless given. Throws a Failure where a part, a key or a value is not
 * understood, where weights are not their network's, and where the network is conditioned on what cannot be given yet.
 */
export async function readPublishedTeacher(
  folder: string,
  { loras = [], ...taken }: Taking = {},
): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, part, read, names } = await describeTeacher(folder, { loras, ...taken });
  const hash = loras.length === 0 ? startHash() : undefined; // else weights are others once they are read
  const weights = await addLoraFiles({ weights: await read(names, hash), part: part || "unet", names, loras });
  return { description: { ...description, hash: hash ? hash.digest() : hashWeights(weights) }, weights };
}

/** The same with weights that have shapes and no elements, and no hash: none of them is read. */
export async function planPublishedTeacher(
  folder: string,
  taken: Omit<Taking, "loras"> = {},
): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const { description, shapes } = await describeTeacher(folder, { ...taken, isHashed: false });
  return { description: { ...description, hash: "" }, weights: shapes };
}

/** EDM's own levels, or those of the pipeline's schedule: the highest is where its walks begin, and where a student is asked. */
async function diffusionOf(options: {
  folder: string;
  json: object;
  sigmaData: number;
  pipeline?: string | undefined;
}): Promise<DenoiserDescription["spec"]["diffusion"]> {
  const { folder, json, sigmaData, pipeline } = options;
  if (!isPublished(folder)) {
    const { sigma_data: sigmaData, sigma_min: least, sigma_max: most } = json as Record<string, number | null | undefined>;
    const own = anyDiffusion.parse({ parameterisation: "edm", sigmaData });
    // As EDM's sampler: between its own ends, and no further than the network goes.
    return { ...own, sigmaMin: Math.max(own.sigmaMin, least ?? 0), sigmaMax: Math.min(own.sigmaMax, most ?? Number.POSITIVE_INFINITY) };
  }
  const schedule = await readScheduleJson(folder);
  const flow = flowLayouts[pipeline ?? ""];
  const diffusion = anyDiffusion.parse({ parameterisation: "vp-epsilon", sigmaData, schedule, ...(flow && { flow }) });
  return { ...diffusion, sigmaMax: createParameterisation(diffusion).sigmaMax };
}

/** The codec of a published teacher's latents for pictures of `size`, of that which it was trained on unless given. */
export async function readPublishedCodec(folder: string, at: Pick<Taking, "size"> = {}): Promise<Codec> {
  const { latents, sides } = await latentsAt(folder, at);
  return latents.codec(sides);
}

/** The same with weights that have shapes and no elements. */
export async function planPublishedCodec(folder: string, at: Pick<Taking, "size"> = {}): Promise<Codec> {
  const { latents, sides } = await latentsAt(folder, at);
  return latents.planned(sides);
}

async function latentsAt(folder: string, { size }: Pick<Taking, "size">): Promise<{ latents: Latents; sides: Sides }> {
  const { denoiser } = await openDenoiser(folder);
  const latents = await latentsOf(folder, denoiser.shape[2]);
  return { latents, sides: sidesAt({ folder, size, denoiser, factor: latents.factor }) };
}

/** Sides of a teacher's latents: those of pictures of `size`, which were trained on unless given. */
function sidesAt(options: { folder: string; size: ImageSize | undefined; denoiser: PublishedDenoiser; factor: number }): Sides {
  const { size, denoiser } = options;
  const [height, width] = denoiser.shape;
  return size === undefined ? [height, width] : latentsOfSize({ ...options, size });
}

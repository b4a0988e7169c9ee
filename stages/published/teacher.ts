/**
 * A published pipeline as a teacher: its denoiser's description as a run folder would have it, with its weights. What the folder
 * says of network and schedule is kept as it is, so that a student's folder stands alone.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { type Codec, codecOfSettings } from "../../models/codecs/codecs.ts";
import type { PublishedDenoiser } from "../../models/published/network.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { diffusionSettings, networkSettings } from "../../schemas/settings.ts";
import type { Statistics } from "../../store/statistics.ts";
import { isPublished } from "./describe.ts";
import { readPart, readPartConfig } from "./part.ts";
import { readScheduleJson } from "./schedules.ts";

/** Parts that a denoiser may be: of pipelines by their folders, and a network alone in the folder itself. */
const PARTS = ["unet", "transformer", ""];

/** Whether a folder holds a published teacher, in place of a run's model.json. */
export const isPublishedTeacher = (folder: string): boolean =>
  !existsSync(join(folder, "model.json")) && (isPublished(folder) || existsSync(join(folder, "network.safetensors")));

/**
 * The teacher of a folder that diffusers wrote, or of an EDM network (network.safetensors beside config.json). Throws a Failure where
 * a part, a key or a value is not understood, and where the network is conditioned on what cannot be given yet.
 */
export async function readPublishedTeacher(folder: string): Promise<{ description: DenoiserDescription; weights: Weights }> {
  const part = PARTS.find((name) => existsSync(join(folder, name, "config.json")));
  if (part === undefined) {
    throw new Failure(
      `Cannot read a teacher from ${folder}: it has no part of ${PARTS.filter(Boolean).join(" or ")}. Name a whole pipeline's folder.`,
    );
  }
  const at = join(folder, part);
  const { network, weights } = await readPart(at);
  const { denoiser } = network;
  if (!denoiser) {
    throw new Failure(
      `Cannot take ${at} as a teacher: networks of its class can be compared (inspect --parity), not distilled yet. ` +
        "Take one without text: UNet2DModel, DiTTransformer2DModel or EDM.",
    );
  }
  const { json } = await readPartConfig(at);
  const { shape, classes } = denoiser;
  const condition = classes > 0 ? "class" : "none";
  const spec: DenoiserDescription["spec"] = {
    shape: [...shape] as [number, number, number],
    network: networkSettings.parse({ kind: "published", condition, published: json }),
    diffusion: await diffusionOf(folder, json),
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    vocabulary: 0,
  };
  const statistics = statisticsOf(denoiser, spec.diffusion.sigmaData);
  return { description: { role: "teacher", hash: hashWeights(weights), spec, statistics, captions: [] }, weights };
}

/** Pixels in [-1, 1] and scaled latents go in as they are: normalisation leaves them so. */
function statisticsOf({ shape }: PublishedDenoiser, sigmaData: number): Statistics {
  const each = (value: number): number[] => new Array<number>(shape[2]).fill(value);
  return { mean: each(0), std: each(sigmaData), min: each(-1), max: each(1), nonFinite: 0 };
}

/** EDM's own levels, or those of the pipeline's schedule. */
async function diffusionOf(folder: string, json: object): Promise<DenoiserDescription["spec"]["diffusion"]> {
  if ("sigma_data" in json || "model_type" in json) {
    const { sigma_data: sigmaData = 0.5 } = json as { sigma_data?: number };
    return diffusionSettings.parse({ parameterisation: "edm", sigmaData });
  }
  const schedule = await readScheduleJson(folder);
  return diffusionSettings.parse({ parameterisation: "vp-epsilon", sigmaData: 0.5, schedule });
}

/** What the teacher's latents are of: pixels, for a teacher without an autoencoder. */
export async function readPublishedCodec(folder: string): Promise<Codec> {
  if (existsSync(join(folder, "vae"))) throw new Failure(`Cannot decode with ${join(folder, "vae")} yet: take a teacher of pixels.`);
  const { spec } = (await readPublishedTeacher(folder)).description;
  const encoder = { kind: "pixel", batch: 1, rowsPerShard: 1 } as const;
  return codecOfSettings({ encoder, images: { size: spec.shape[0] } as never }, () =>
    Promise.reject(new Error("pixels are read from nowhere")),
  );
}

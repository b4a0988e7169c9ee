/** The parts of the work of a command, as far as settings decide it. */
import { methodFor, methodNamed, ownSettings } from "../methods/registry.ts";
import { isPixels, isYetToTrain, plannedShape } from "../models/codecs/codecs.ts";
import { isConditional } from "../models/encoders/own.ts";
import type { PlannedNetwork } from "../schemas/fit.ts";
import type { Settings } from "../schemas/settings.ts";

/** What a command may do. */
export type Part =
  | "encode"
  | "autoencoder"
  | "perceptual"
  | "teacher"
  | "tokenizer"
  | "tokenize"
  | "prior"
  | "simulate"
  | "train"
  | "evaluate";

/** The groups of settings that each part reads. */
export const readBy: Readonly<Record<Part, readonly string[]>> = {
  encode: ["images", "encoder", "store"],
  autoencoder: ["pretrain.autoencoder"],
  perceptual: ["pretrain.perceptual", "diffusion"],
  tokenizer: ["pretrain.tokenizer", "diffusion"],
  tokenize: ["encoder", "store"],
  prior: ["pretrain.prior", "network"],
  teacher: ["pretrain.teacher", "network", "diffusion", "simulate"],
  simulate: ["simulate", "store"],
  train: ["train", "simulate"],
  evaluate: ["evaluate", "simulate", "images"],
};

/** The latent shape that settings alone tell; undefined where a given encoder decides it. */
export function shapeOf(settings: Settings): PlannedNetwork["shape"] {
  const { encoder, images } = settings;
  if (isPixels(encoder.kind)) return [images.size, images.size, 3];
  const own = ownSettings(methodFor("autoencoder"), settings.pretrain.autoencoder) as { downsample: number };
  if (isYetToTrain(encoder) && images.size % own.downsample !== 0) return undefined; // a rule says so
  return plannedShape(settings, () => own);
}

/** The parts of `pipeline run`: with a teacher given, no network but the student is trained. */
export function partsOfRun(settings: Settings, { hasTeacher }: { hasTeacher: boolean }): Part[] {
  const method = methodNamed(settings.train.method);
  const needs = method.needs(ownSettings(method, settings.train), settings.train);
  const looks = [...needs.frozen, ...(needs.uses ?? [])].includes("perceptual");
  const pretrains = looks && !settings.train.perceptual && isConditional(settings.network);
  const tokenizes = needs.frozen.includes("tokenizer") && !settings.train.tokenizer;
  return [
    "encode",
    ...(!hasTeacher && isYetToTrain(settings.encoder) ? (["autoencoder"] as const) : []),
    ...(pretrains && (!hasTeacher || needs.frozen.includes("perceptual")) ? (["perceptual"] as const) : []),
    ...(tokenizes ? (["tokenizer"] as const) : []),
    ...(hasTeacher ? [] : (["teacher"] as const)),
    ...(needs.rows === "triples" ? (["simulate"] as const) : []),
    ...(["train", "evaluate"] as const),
  ];
}

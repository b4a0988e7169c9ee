/** What a student's training is given: triples, frozen networks, an earlier run and real images, each opened and checked. */
import type { Weights } from "../../../engine/weights.ts";
import type { Needs } from "../../../methods/method.ts";
import type { AnyMethod } from "../../../methods/registry.ts";
import type { DenoiserSpec } from "../../../models/denoiser.ts";
import { loadTracedFeatures } from "../../../models/features/load.ts";
import type { Context } from "../../../schemas/events.ts";
import { badUsage, Failure } from "../../../schemas/failure.ts";
import { sidesOf } from "../../../schemas/images.ts";
import type { Settings } from "../../../schemas/settings.ts";
import { openLatentStore } from "../../../store/rows/latents.ts";
import type { Statistics } from "../../../store/records/statistics.ts";
import { openTripleStore } from "../../../store/rows/triples.ts";
import { type Codec, type Denoiser, readDenoiser, readImageTokenizer, readPerceptual, startFrom } from "../../runs/model.ts";
import { checkTeacher } from "../../runs/teacher-of-store.ts";
import { checkStoreClasses } from "../../simulate/row-conditions.ts";
import { readLatestCheckpoint } from "../checkpoint.ts";

/**
 * The triples of the method. Throws a Failure where it needs some and none are named, where another teacher made them, or where
 * they keep no states of the trajectories that it learns from.
 */
export async function triplesOf(options: {
  method: AnyMethod;
  needs: Needs;
  store?: string;
  teacher: string;
  description: Denoiser["description"];
}) {
  const { method, needs, store, teacher, description } = options;
  if (needs.rows !== "triples") return undefined;
  if (store === undefined)
    throw badUsage(`Cannot train by ${method.name} without triples: name a store of \`pipeline simulate\` with --store`);
  const triples = await openTripleStore({ folder: store });
  checkTeacher({ action: "Cannot train on", store: triples, folder: teacher, teacher: description });
  if (needs.trajectory && !triples.manifest.trajectory) {
    throw new Failure(
      `Cannot train by ${method.name} on ${store}: it learns from the teacher's states on the way, and this store keeps none. Add them: ` +
        `pipeline reprocess ${store} --to NEW --teacher ${teacher} --trajectory ${someSteps(triples.manifest.solver.steps)}, which are ` +
        `solver steps of ${triples.manifest.solver.steps}.`,
    );
  }
  return triples;
}

/** Some numbers of solver steps, as they are typed: what to try first. */
export function someSteps(steps: number): string {
  return [...new Set([0, 1, 2].map((third) => Math.floor((third * steps) / 3)))].join(",");
}

/** The frozen networks that the method looks at. Throws a Failure where one reads other latents, or cannot be read. */
export async function frozenOf(options: { needs: Needs; teacher: Denoiser; codec: Codec; settings: Settings; context: Context }) {
  const { needs, teacher, codec, settings, context } = options;
  const { perceptual: path, features: paths } = settings.train;
  const { spec } = teacher.description;
  const isWanted = (role: string): boolean => [...needs.frozen, ...(needs.uses ?? [])].includes(role);
  const perceptual = path && isWanted("perceptual") ? await readPerceptual(path, context) : undefined;
  if (perceptual && String(perceptual.description.config.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot compare latents of shape ${spec.shape} with ${path}: it was trained on shape ${perceptual.description.config.shape} ` +
        "(train.perceptual)",
    );
  }
  const imageSize = Math.max(...sidesOf(codec.description.imageSize));
  const features = isWanted("features")
    ? await loadTracedFeatures({ paths: [paths].flat(), imageSize, setting: "train.features" })
    : undefined;
  const tokenizer = isWanted("tokenizer") ? await tokenizerOf(settings, teacher) : undefined;
  const fewStep = isWanted("fewStep") && settings.train.fewStep ? await fewStepOf(settings.train.fewStep, teacher, context) : undefined;
  const weights: Record<string, Weights> = {
    teacher: teacher.weights,
    ...(perceptual && { perceptual: perceptual.weights }),
    ...(isWanted("codec") && { codec: codec.weights }),
    ...(features && { features: features.weights }),
    ...(tokenizer && { tokenizer: tokenizer.weights }),
    ...(fewStep && { fewStep: fewStep.weights }),
  };
  return { perceptual, features: features?.networks, tokenizer: tokenizer?.description, fewStep: fewStep?.description, weights };
}

/** The image tokenizer in train.tokenizer. Throws a Failure where none is named, or where it reads other latents. */
async function tokenizerOf({ train }: Settings, { description }: Denoiser) {
  const { tokenizer: path, method } = train;
  if (!path)
    throw badUsage(
      `Cannot train by ${method} without an image tokenizer: name a run of \`pipeline pretrain tokenizer\` with --set train.tokenizer=RUN`,
    );
  const tokenizer = await readImageTokenizer(path);
  const { config, statistics } = tokenizer.description;
  const { shape, diffusion } = description.spec;
  const wrong =
    String(config.shape) !== String(shape)
      ? `its latents have shape ${config.shape}, the teacher's ${shape}`
      : config.sigmaData !== diffusion.sigmaData || !isNear(statistics, description.statistics)
        ? "its latents have another mean or deviation than the teacher's"
        : undefined;
  if (!wrong) return tokenizer;
  throw new Failure(
    `Cannot read the codes of ${path}: ${wrong} (train.tokenizer). Train a tokenizer on the store that the teacher was trained on.`,
  );
}

/** Whether latents scaled by the one are latents scaled by the other, but for what a store of the same images may differ by. */
function isNear(a: Statistics, b: Statistics): boolean {
  return a.std.every((std, i) => {
    const [other, shift] = [b.std[i] as number, (a.mean[i] as number) - (b.mean[i] as number)];
    return Math.abs(std / other - 1) < 0.1 && Math.abs(shift) < 0.1 * other;
  });
}

/** The few-step student in train.fewStep. Throws a Failure where its network is another than the teacher's. */
async function fewStepOf(path: string, { description }: Denoiser, context: Context): Promise<Denoiser> {
  const found = await readDenoiser(path, context);
  const { control: _, ...network } = description.spec.network;
  const wanted = JSON.stringify({ ...description.spec, network });
  if (found.description.role === "student" && JSON.stringify(found.description.spec) === wanted) return found;
  throw new Failure(
    `Cannot build on ${path}: it is no few-step student of this teacher's network (train.fewStep). Name a run of \`pipeline train\`.`,
  );
}

/** Of an earlier run: the student it wrote and, where its checkpoint has them, its other parts as they ended. */
export async function startOf(folder: string, spec: DenoiserSpec, method: AnyMethod, context: Context): Promise<Record<string, Weights>> {
  const student = await startFrom(folder, spec, "train.from", context);
  const warn = (message: string): void => context.report({ type: "warning", stage: "train", message });
  const sets = (await readLatestCheckpoint({ folder, warn }))?.sets ?? {};
  const others = Object.entries(sets).flatMap(([name, weights]) => {
    const [role = "", set] = name.split(".");
    return set === "network" && role !== method.makes ? [[role, weights] as const] : [];
  });
  return { ...Object.fromEntries(others), [method.makes]: student };
}

/** The real images in train.images, if any. Throws a Failure where the method's rows are images and none are named. */
export async function imagesOf(options: { needs: Needs; method: AnyMethod; folder: string | undefined; teacher: Denoiser["description"] }) {
  const { needs, method, folder, teacher } = options;
  if (folder !== undefined) return openImages(folder, teacher);
  if (needs.rows !== "latents" && needs.rows !== "raw") return undefined;
  throw badUsage(`Cannot train by ${method.name} without images: name a store of \`pipeline ingest\` with --set train.images=STORE`);
}

/** Latents of the real images, as the teacher takes them. Throws a Failure where they are of another shape or other classes. */
async function openImages(folder: string, { spec, statistics }: Denoiser["description"]) {
  const store = await openLatentStore({ folder });
  if (String(store.manifest.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot show the discriminator the images of ${folder}: their latents have shape ${store.manifest.shape}, the teacher's ` +
        `${spec.shape}. Name the store it was trained on (train.images).`,
    );
  }
  checkStoreClasses(store, spec);
  return { store, scale: { statistics, sigmaData: spec.diffusion.sigmaData } };
}

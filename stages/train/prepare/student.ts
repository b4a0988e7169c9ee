/** A student of a teacher, by any method that makes one. */
import { hashWeights, type Weights } from "../../../engine/weights.ts";
import type { Job, Needs } from "../../../methods/method.ts";
import { type AnyMethod, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import type { Conditions } from "../../../models/conditions.ts";
import { checkFit } from "../../../recipes/fit.ts";
import type { Context } from "../../../schemas/events.ts";
import { badUsage, Failure } from "../../../schemas/failure.ts";
import type { Settings } from "../../../schemas/settings.ts";
import type { LatentManifest, TripleManifest } from "../../../schemas/manifest.ts";
import { openLatentStore } from "../../../store/latents.ts";
import type { Store } from "../../../store/store.ts";
import { openTripleStore } from "../../../store/triples.ts";
import { type Denoiser, readCodec, readDenoiser, readPerceptual, startFrom, writeCodec, writeModel } from "../../runs/model.ts";
import { createWatch, isComparable, imageRows, measuringOf, sampleEvenly, teacherRows } from "../watch.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { checkStoreClasses, conditionsOf, openRowConditions } from "../../simulate/row-conditions.ts";
import { type Share, withThreads } from "../../workers/threads.ts";
import { readLatestCheckpoint } from "../checkpoint.ts";
import { identityOf } from "../identity.ts";
import { besideTeacher } from "../pictures.ts";
import { conditionRows, type Order, tripleRows } from "../rows.ts";
import type { Training } from "../training.ts";

/** What a student is made of, and where. */
export interface StudentOptions {
  method: AnyMethod;
  store?: string;
  teacher: string;
  out: string;
  /** Of the trainer's engine, asked before each step; the settings' otherwise. */
  threads?: Share;
  settings: Settings;
  context: Context;
}

/**
 * Prepares a student of `teacher` in the run folder `out`, trained on `store` where the method needs triples: the store may
 * still be growing. Throws a Failure when store and teacher do not belong together, or when the method needs what is not given.
 */
export async function prepareStudent(options: StudentOptions): Promise<Training<Denoiser>> {
  const { method, out, settings, context } = options;
  const { train, seed } = settings;
  const own = ownSettings(method, train);
  const optimiser = optimiserOf(train);
  const needs = method.needs(own, optimiser);
  const teacher = await readDenoiser(options.teacher);
  const { spec, statistics } = teacher.description;
  checkFit({ settings: { ...settings, network: spec.network }, parts: ["train"], shape: spec.shape });
  const triples = await triplesOf({ ...options, needs, hash: teacher.description.hash });
  const frozen = await frozenOf({ needs, teacher, settings });
  const start = train.from ? await startOf(train.from, teacher, method, context) : undefined;
  const images = train.images ? await openImages(train.images, teacher.description) : undefined;
  const subject = { spec, plan: settings.simulate, ...(frozen.perceptual && { perceptual: frozen.perceptual.description.config }) };
  const job: Job<never> = { settings: own, optimiser, seed, subject };

  const codec = await readCodec(options.teacher);
  const conditions = conditionsOf(teacher.description);
  const { threads = () => train.threads || settings.engine.threads } = options;
  const engine = withThreads(settings.engine, threads());
  const decoder = await createPictureDecoder({ codec, statistics, spec, engine, context });
  const watch = createWatch({
    ...{ settings: train, spec, conditions, decoder, imageSize: codec.description.imageSize, seed, engine, context },
    reference: async () => {
      if (images) return imageRows(images.store, teacher.description, context);
      return triples ? teacherRows(triples, train.distanceCount, context) : [];
    },
  });
  const reference = images?.store ?? triples;
  return {
    ...{
      name: "train",
      out,
      method,
      job,
      weights: frozen.weights,
      start,
      settings: train,
      group: "train",
      engine: settings.engine,
      threads,
    },
    identity: identityOf({
      ...{ method, job, settings: train },
      data: {
        store: triples?.fingerprint,
        teacher: teacher.description.hash,
        images: images?.store.fingerprint,
        perceptual: frozen.perceptual?.description.hash,
        start: start && Object.fromEntries(Object.entries(start).map(([role, weights]) => [role, hashWeights(weights)])),
      },
    }),
    begin: () => writeCodec(out, codec),
    batches: (fromStep, follow) =>
      rowsOf({ needs, triples, images, conditions, teacher, order: { ...train, optimiser, seed, fromStep, follow } }),
    ...(triples && { picture: besideTeacher({ triples, conditions, decoder, folder: out, context }) }),
    ...(train.distanceEvery > 0 &&
      reference !== undefined &&
      isComparable(reference, context) && {
        measuring: (trainer) =>
          measuringOf({
            settings: train,
            watch,
            sample: (inputs) => sampleEvenly((part) => trainer.sample(part), inputs),
            reference: reference.fingerprint,
          }),
      }),
    write: async (weights) => {
      const sampler = method.sampler?.(own, subject);
      const description = { ...teacher.description, role: "student" as const, hash: hashWeights(weights), ...(sampler && { sampler }) };
      const student: Denoiser = { description, weights };
      await writeModel(out, student);
      return student;
    },
    close: async () => {
      await watch.close();
      await decoder.close();
    },
  };
}

/** The triples of the method. Throws a Failure where it needs some and none are named, or where another teacher made them. */
async function triplesOf(options: { method: AnyMethod; needs: Needs; store?: string; teacher: string; hash: string }) {
  const { method, needs, store, teacher, hash } = options;
  if (needs.rows !== "triples") return undefined;
  if (store === undefined)
    throw badUsage(`Cannot train by ${method.name} without triples: name a store of \`pipeline simulate\` with --store`);
  const triples = await openTripleStore({ folder: store });
  if (triples.manifest.teacher.hash === hash) return triples;
  throw new Failure(`Cannot train on ${store}: another teacher than ${teacher} made it. Name the run that simulate was given.`);
}

/** The frozen networks that the method looks at. Throws a Failure where one reads other latents. */
async function frozenOf(options: { needs: Needs; teacher: Denoiser; settings: Settings }) {
  const { needs, teacher, settings } = options;
  const { perceptual: path } = settings.train;
  const { spec } = teacher.description;
  const isWanted = [...needs.frozen, ...(needs.uses ?? [])].includes("perceptual");
  const perceptual = path && isWanted ? await readPerceptual(path) : undefined;
  if (perceptual && String(perceptual.description.config.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot compare latents of shape ${spec.shape} with ${path}: it was trained on shape ${perceptual.description.config.shape} ` +
        "(train.perceptual)",
    );
  }
  const weights: Record<string, Weights> = { teacher: teacher.weights, ...(perceptual && { perceptual: perceptual.weights }) };
  return { perceptual, weights };
}

/** Of an earlier run: the student it wrote and, where its checkpoint has them, its other parts as they ended. */
async function startOf(folder: string, teacher: Denoiser, method: AnyMethod, context: Context): Promise<Record<string, Weights>> {
  const student = await startFrom(folder, teacher.description.spec, "train.from");
  const warn = (message: string): void => context.report({ type: "warning", stage: "train", message });
  const sets = (await readLatestCheckpoint({ folder, warn }))?.sets ?? {};
  const others = Object.entries(sets).flatMap(([name, weights]) => {
    const [role = "", set] = name.split(".");
    return set === "network" && role !== method.makes ? [[role, weights] as const] : [];
  });
  return { ...Object.fromEntries(others), [method.makes]: student };
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

async function* rowsOf(options: {
  needs: Needs;
  triples?: Store<TripleManifest>;
  images?: { store: Store<LatentManifest>; scale: { statistics: Denoiser["description"]["statistics"]; sigmaData: number } };
  conditions: Conditions;
  teacher: Denoiser;
  order: Order;
}) {
  const { triples, teacher, conditions, order } = options;
  if (triples) return yield* tripleRows({ ...options, triples });
  const { of } = await openRowConditions({ teacher: teacher.description, seed: order.seed });
  yield* conditionRows({ of, conditions, order });
}

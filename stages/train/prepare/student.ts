/** A student of a teacher, by any method that makes one. */
import { hashWeights, type Weights } from "../../../engine/weights.ts";
import type { Job } from "../../../methods/method.ts";
import { type AnyMethod, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import type { SamplerPlan } from "../../../models/diffusion/sampler-plan.ts";
import { checkFit } from "../../../recipes/fit.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { Settings } from "../../../schemas/settings.ts";
import type { Taking } from "../../published/teacher.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel, writeStoresTokenizer } from "../../runs/model.ts";
import { readNegative } from "../../runs/negative.ts";
import { writeLora } from "../../runs/lora.ts";
import { denoiserProblems } from "../../runs/problems.ts";
import { isComparable, imageRows, teacherRows } from "../reference-rows.ts";
import { sampleEvenly } from "../sample-evenly.ts";
import { createWatch, measuringOf } from "../watch.ts";
import { openCodes } from "../../sample/codes.ts";
import { openTokenizer } from "../../sample/tokenizer.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { openConditions } from "../../sample/conditions.ts";
import { type Share, withThreads } from "../../workers/threads.ts";
import { trainedSampling } from "../../workers/trained-sampling.ts";
import { studentCaptions } from "./captions.ts";
import { frozenOf, imagesOf, startOf, triplesOf } from "./given.ts";
import { identityOf } from "../identity.ts";
import { studentRows } from "../rows.ts";
import { studentPictures } from "./student-pictures.ts";
import { subjectOf } from "./subject.ts";
import { checkReading, readerOf } from "./reader.ts";
import type { Training } from "../training.ts";

/** What a student is made of, and where. */
export interface StudentOptions extends Taking {
  method: AnyMethod;
  store?: string;
  teacher: string;
  out: string;
  /** What names the run to the stores that it reads, where it is not `out`: the URL under which it lasts. */
  place?: string | undefined;
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
  const { loras, size } = options;
  const teacher = await readDenoiser(options.teacher, { ...context, loras, size, textLength: settings.simulate.textLength });
  const { spec, statistics } = teacher.description;
  checkFit({ settings: { ...settings, network: spec.network }, parts: ["train"], shape: spec.shape });
  const triples = await triplesOf({ ...options, needs, description: teacher.description });
  if (triples) await checkReading(triples, { ...train, seed, optimiser });
  const codec = await readCodec(options.teacher, { ...context, size });
  const frozen = await frozenOf({ needs, teacher, codec, settings, context });
  const imageTokenizer = frozen.tokenizer?.config;
  const captions = await studentCaptions({ teacher: teacher.description, triples, asked: settings.simulate });
  const student = method.student?.(own, spec, { imageTokenizer }) ?? spec;
  const start = train.from ? await startOf(train.from, student, method, context) : undefined;
  const images = await imagesOf({ needs, method, folder: train.images, teacher: teacher.description });
  const trajectory = triples?.manifest.trajectory?.sigmas;
  const subject = subjectOf({ teacher: teacher.description, student, needs, frozen, codec: codec.description, trajectory, settings });
  const job: Job<never> = { settings: own, optimiser, seed, subject };
  const { plan } = trainedSampling(method, job) as { plan: SamplerPlan };
  const sampler = method.sampler?.(own, subject);
  refuseUnusable({ ...teacher.description, role: "student", spec: student, sampler }, method);

  const { threads = () => train.threads || settings.engine.threads } = options;
  const engine = withThreads(settings.engine, threads());
  const embedded = triples?.manifest.embedding;
  const conditions = openConditions({
    description: teacher.description,
    choice: settings.simulate,
    engine,
    signal: context.signal,
    negative: embedded && (await readNegative(triples.folder, embedded)),
  });
  const decoder = await createPictureDecoder({ codec, statistics, spec, engine, context });
  const codes = imageTokenizer && openCodes(conditions, () => openTokenizer({ path: train.tokenizer as string, engine, context }));
  const watch = createWatch({
    ...(codes && { ofLatents: codes.ofLatents }),
    settings: train,
    spec,
    plan,
    conditions,
    decoder,
    imageSize: codec.description.imageSize,
    seed,
    engine,
    context,
    reference: async () => {
      if (images) return imageRows(images.store, teacher.description, context);
      return triples ? teacherRows(triples, train.distanceCount, context) : [];
    },
  });
  const reference = images?.store ?? triples;
  const isMeasured = train.distanceEvery > 0 && reference !== undefined && isComparable(reference, context);
  const identity = identityOf({
    method,
    job,
    settings: train,
    data: {
      store: triples?.fingerprint,
      teacher: teacher.description.hash,
      images: images?.store.fingerprint,
      perceptual: frozen.perceptual?.description.hash,
      features: frozen.features?.map(({ hash }) => hash),
      tokenizer: frozen.tokenizer?.hash,
      fewStep: frozen.fewStep?.hash,
      text: captions.identity,
      start: start && hashesOf(start),
    },
  });
  const first = isMeasured && !images ? train.distanceCount : 1;
  const reader =
    triples && readerOf(triples, { identity: identity.hash, out: options.place ?? out, first, order: { ...train, seed, optimiser } });
  return {
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
    identity,
    ...(reader && { reader }),
    begin: async () => {
      await writeCodec(out, codec);
      // What draws from tokens is nothing without what its tokens mean.
      const { tokenizer: description, weights } = frozen;
      if (description && weights.tokenizer) await writeStoresTokenizer(out, { description, weights: weights.tokenizer });
    },
    batches: (fromStep, follow) =>
      studentRows({
        needs,
        triples,
        images,
        conditions,
        teacher,
        asked: settings.simulate,
        order: { ...train, optimiser, seed, fromStep, follow, onAsk: reader?.begin(fromStep) },
      }),
    picture: studentPictures({
      codes,
      images: images?.store,
      triples,
      description: teacher.description,
      captions: captions.shown,
      plan,
      conditions,
      decoder,
      seed,
      folder: out,
      context,
    }),
    ...(isMeasured && {
      measuring: (trainer) =>
        measuringOf({
          settings: train,
          watch,
          sample: (inputs) => sampleEvenly((part) => trainer.sample(part), inputs),
          reference: reference.fingerprint,
        }),
    }),
    write: async (weights, lora) => {
      const itself = { role: "student" as const, hash: hashWeights(weights), spec: student };
      const description = { ...teacher.description, ...itself, captions: await captions.kept(), ...(sampler && { sampler }) };
      const made: Denoiser = { description, weights };
      if (lora) await writeLora(out, { ...lora, merged: itself.hash, spec: student, sampler: made.description.sampler });
      await writeModel(out, made);
      return made;
    },
    close: async () => {
      await codes?.close();
      await conditions.close();
      await watch.close();
      await decoder.close();
    },
  };
}

/** Throws a Failure where nobody could use the student that these settings describe. */
function refuseUnusable(description: Denoiser["description"], method: AnyMethod): void {
  const [wrong] = denoiserProblems(description);
  if (!wrong) return;
  throw new Failure(
    `Cannot train by ${method.name} with these settings: the model.json of its student could not be used ` +
      `(${wrong.key}: ${wrong.problem}). Change the settings train.${method.name}.`,
  );
}

/** Hashes of networks, by role. */
const hashesOf = (networks: Readonly<Record<string, Weights>>): Record<string, string> =>
  Object.fromEntries(Object.entries(networks).map(([role, weights]) => [role, hashWeights(weights)]));

/** A student of a teacher, by any method that makes one. */
import { hashWeights } from "../../../engine/weights.ts";
import type { Job, Needs, Subject } from "../../../methods/method.ts";
import { type AnyMethod, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import type { Conditions } from "../../../models/conditions.ts";
import { noiseFor } from "../../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../../models/diffusion/sampler-plan.ts";
import type { SamplerInputs } from "../../../models/diffusion/sampling.ts";
import { checkFit } from "../../../recipes/fit.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { Settings } from "../../../schemas/settings.ts";
import type { LatentManifest, TripleManifest } from "../../../schemas/manifest.ts";
import { normalisedMoments } from "../../../store/statistics.ts";
import type { Store } from "../../../store/store.ts";
import type { Taking } from "../../published/teacher.ts";
import { type Codec, type Denoiser, readCodec, readDenoiser, writeCodec, writeModel, writeStoresTokenizer } from "../../runs/model.ts";
import { readNegative } from "../../runs/negative.ts";
import { writeLora } from "../../runs/lora.ts";
import { denoiserProblems } from "../../runs/problems.ts";
import { createWatch, isComparable, imageRows, measuringOf, sampleEvenly, teacherRows } from "../watch.ts";
import { openCodes } from "../../sample/codes.ts";
import { openTokenizer } from "../../sample/tokenizer.ts";
import { stacked } from "../../../store/latents.ts";
import { createPictureDecoder } from "../../sample/picture-decoder.ts";
import { openConditions } from "../../sample/conditions.ts";
import { openRowConditions } from "../../simulate/row-conditions.ts";
import { type Share, withThreads } from "../../workers/threads.ts";
import { trainedSampling } from "../../workers/trained-sampling.ts";
import { studentCaptions } from "./captions.ts";
import { frozenOf, imagesOf, startOf, triplesOf } from "./given.ts";
import { identityOf } from "../identity.ts";
import { besideTeacher, reconstructions, samples } from "../pictures.ts";
import { conditionRows, latentRows, type Order, tripleRows } from "../rows.ts";
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
  const [wrong] = denoiserProblems({ ...teacher.description, role: "student", spec: student, sampler });
  if (wrong) {
    throw new Failure(
      `Cannot train by ${method.name} with these settings: the model.json of its student could not be used ` +
        `(${wrong.key}: ${wrong.problem}). Change the settings train.${method.name}.`,
    );
  }

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
  const pictured = Math.min(RECONSTRUCTED, images?.store.manifest.entries ?? 0);
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
      start: start && Object.fromEntries(Object.entries(start).map(([role, weights]) => [role, hashWeights(weights)])),
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
      rowsOf({
        needs,
        triples,
        images,
        conditions,
        teacher,
        asked: settings.simulate,
        order: { ...train, optimiser, seed, fromStep, follow, onAsk: reader?.begin(fromStep) },
      }),
    picture:
      codes && images
        ? reconstructions({
            codes,
            decoder,
            folder: out,
            rows: pictured,
            latents: async () =>
              stacked((await imageRows(images.store, teacher.description, context)).slice(0, pictured).map(({ latent }) => latent)),
            noise: noiseFor({ seed, stream: "pictures", rows: pictured, spec, plan }),
          })
        : triples
          ? besideTeacher({ triples, conditions, plan, seed, decoder, folder: out, context })
          : samples({ inputs: () => picturedInputs({ spec, captions: captions.shown, plan, conditions, seed }), decoder, folder: out }),
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

/** The networks that a student's training is about; `student` is its specification, `trajectory` has the levels of stored states. */
export function subjectOf(options: {
  teacher: Pick<Denoiser["description"], "spec" | "statistics">;
  student: Denoiser["description"]["spec"];
  needs: Needs;
  frozen: Awaited<ReturnType<typeof frozenOf>>;
  codec: Codec["description"];
  trajectory: readonly number[] | undefined;
  settings: Settings;
}): Subject {
  const { teacher, student, needs, frozen, codec, trajectory, settings } = options;
  const { spec, statistics } = teacher;
  return {
    spec,
    plan: settings.simulate,
    moments: normalisedMoments(statistics, spec.diffusion.sigmaData),
    ...(student !== spec && { student }),
    ...(needs.trajectory && trajectory && { trajectory }),
    ...(frozen.perceptual && { perceptual: frozen.perceptual.description.config }),
    ...(frozen.weights.codec && { codec, statistics }),
    ...(frozen.features && { features: frozen.features }),
    ...(frozen.tokenizer && { imageTokenizer: frozen.tokenizer.config }),
  };
}

/** Images of a grid that shows what becomes of each. */
const RECONSTRUCTED = 16;

/** Noise and conditions of the pictures on the way, where no triples lend theirs. */
async function picturedInputs(
  options: Pick<Denoiser["description"], "spec" | "captions"> & { plan: SamplerPlan; conditions: Conditions; seed: number },
): Promise<SamplerInputs> {
  const { captions, conditions, seed } = options;
  const rows = 64;
  return {
    ...noiseFor({ ...options, stream: "pictures", rows }),
    rows,
    conditions: await conditions.inputs(conditions.spread(rows, captions, seed)),
  };
}

async function* rowsOf(options: {
  needs: Needs;
  triples?: Store<TripleManifest>;
  images?: { store: Store<LatentManifest>; scale: { statistics: Denoiser["description"]["statistics"]; sigmaData: number } };
  conditions: Conditions;
  teacher: Denoiser;
  asked: Settings["simulate"];
  order: Order;
}) {
  const { needs, triples, images, teacher, asked, conditions, order } = options;
  if (triples) return yield* tripleRows({ ...options, triples });
  if (images && (needs.rows === "latents" || needs.rows === "raw")) {
    const { store, scale } = images;
    return yield* latentRows({ store, conditions, ...(needs.rows === "latents" && { scale }), order });
  }
  const { of } = await openRowConditions({ teacher: teacher.description, asked, seed: order.seed });
  yield* conditionRows({ of, conditions, order });
}

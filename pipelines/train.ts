/** triples | shuffled batches | student trainer | run folder */
import { join } from "node:path";
import { hashWeights, type Weights } from "../engine/weights.ts";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { Settings } from "../schemas/settings.ts";
import type { StudentTrainer } from "../stages/compute/student-trainer.ts";
import { type Denoiser, readCodec, readDenoiser, readPerceptual, writeCodec, writeModel } from "../stages/model.ts";
import { createPainter } from "../stages/painter.ts";
import { createWatch, imageRows, sampleEvenly, teacherRows } from "../stages/run-state/watch.ts";
import { checkClasses, conditionsOf } from "../stages/row-conditions.ts";
import { openTripleStore, readTriples } from "../stages/store/triples.ts";
import { waitForShard } from "../stages/store/follow.ts";
import { textHash } from "../stages/store/hash.ts";
import { openLatentStore, stacked } from "../stages/store/latents.ts";
import { studentBatches } from "../stages/student-batches.ts";
import { callsOf, identityOf, pictureAt, trainingLoop } from "../stages/training-loop.ts";
import { type Share, startGrowing, withThreads } from "../stages/threads.ts";
import { startWorker } from "../stages/worker.ts";

/**
 * Trains a one-step student on a store that is finished or still being written: which rows a step sees does not depend
 * on it. Resumes exactly. The pictures show the teacher's latents of the store's first rows above the student's.
 * Throws a Failure when store and teacher do not belong together.
 */
export async function train(options: {
  store: string;
  teacher: string;
  out: string;
  /** Of the trainer's engine, asked before each step; the settings' otherwise. */
  threads?: Share;
  settings: Settings;
  context: Context;
}): Promise<Denoiser> {
  const { out, settings, context } = options;
  const { seed, engine } = settings;
  const { threads = () => settings.train.threads || engine.threads } = options;
  const teacher = await readDenoiser(options.teacher);
  const codec = await readCodec(options.teacher);
  const store = await openTripleStore({ folder: options.store });
  const { spec, statistics } = teacher.description;
  if (store.manifest.teacher.hash !== teacher.description.hash) {
    throw new Failure(`Cannot train on ${options.store}: another teacher than ${options.teacher} made it. Name the run that simulate was given.`);
  }
  const perceptual = settings.train.perceptual ? await readPerceptual(settings.train.perceptual) : undefined;
  if (perceptual && String(perceptual.description.config.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot compare latents of shape ${spec.shape} with ${settings.train.perceptual}: it was trained on shape ${perceptual.description.config.shape} (train.perceptual)`,
    );
  }
  const images = settings.train.images ? await openImages(settings.train.images, teacher.description) : undefined;
  await writeSettings(out, settings);
  await writeCodec(out, codec);
  const conditions = conditionsOf(teacher.description);

  const painter = await createPainter({ codec, statistics, spec, engine: withThreads(engine, threads()), context });
  const trainer = await startGrowing<StudentTrainer>({
    threads,
    start: (count) =>
      startWorker<StudentTrainer>({
        name: "student trainer",
        module: new URL("../stages/compute/student-trainer.ts", import.meta.url),
        remedy: "lower train.batch",
        options: {
          ...{ spec, teacher: teacher.weights, settings: settings.train, engine: withThreads(engine, count), seed },
          ...(perceptual && { perceptual: { config: perceptual.description.config, weights: perceptual.weights } }),
        },
        signal: context.signal,
      }),
    onGrown: (count) => context.report({ type: "note", stage: "train", message: `goes on with ${count} threads, which others have left` }),
  }).catch(async (error) => {
    await painter.close();
    throw error;
  });
  const { distanceEvery, distanceCount, distanceFeatures, keep, patience } = settings.train;
  const watch = createWatch({
    ...{ settings: settings.train, spec, conditions, painter, imageSize: codec.description.imageSize, seed, context },
    engine: withThreads(engine, threads()),
    reference: () => (images ? imageRows(images.store, teacher.description) : teacherRows(store, distanceCount, context)),
  });
  const measuring = {
    ...{ every: distanceEvery, keep, patience },
    identity: textHash(JSON.stringify([distanceCount, distanceFeatures, images?.store.fingerprint ?? store.fingerprint])),
    measure: async () => ({ ...(await watch.measure((inputs) => trainer.call("sample", inputs))) }),
  };
  try {
    const batches = (fromStep: number) =>
      studentBatches({ triples: store, images, conditions, settings: settings.train, seed, fromStep, signal: context.signal });
    const sets = await trainingLoop({
      name: "train",
      folder: out,
      schedule: settings.train,
      identity: identityOf({
        settings: { ...settings.train, perceptual: perceptual?.description.hash, images: images?.store.fingerprint },
        seed,
        store: store.fingerprint,
      }),
      trainer: callsOf(trainer),
      context,
      batches,
      ...(distanceEvery > 0 && { measuring }),
      picture: async (step) => {
        await waitForShard(store, 0, context);
        const rows = (await readTriples(store, 0)).slice(0, PICTURED);
        const noise = stacked(rows.map((row) => row.noise));
        const batch = { label: Int32Array.from(rows, (row) => row.label ?? -1), caption: rows.map((row) => row.caption ?? null) };
        const made = await sampleEvenly((inputs) => trainer.call("sample", inputs), { noise, rows: rows.length, ...conditions.inputs(batch) });
        await painter.paint({ path: pictureAt(out, step), columns: COLUMNS, latents: pairedRows(rows.map((row) => row.latent), made) });
      },
    });
    const weights = (keep === "best" ? sets.best : undefined) ?? (sets.average as Weights);
    const student: Denoiser = {
      description: { ...teacher.description, role: "student", hash: hashWeights(weights) },
      weights,
    };
    await writeModel(out, student);
    context.report({ type: "result", stage: "train", values: { out, pictures: join(out, "pictures") } });
    return student;
  } finally {
    await watch.close();
    await painter.close();
    await trainer.close();
  }
}

/** Latents of the real images, as the teacher takes them. Throws a Failure where they are of another shape or other classes. */
async function openImages(folder: string, { spec, statistics }: Denoiser["description"]) {
  const store = await openLatentStore({ folder });
  if (String(store.manifest.shape) !== String(spec.shape)) {
    throw new Failure(`Cannot show the discriminator the images of ${folder}: their latents have shape ${store.manifest.shape}, the teacher's ${spec.shape}. Name the store it was trained on (train.images).`);
  }
  if (spec.network.condition === "class") checkClasses(store, spec.classes);
  return { store, statistics, sigmaData: spec.diffusion.sigmaData };
}

const COLUMNS = 8;
const PICTURED = 32;

/** Rows of a grid in pairs: the teacher's above, the student's of the same noise and condition below. */
function pairedRows(teacher: Float32Array[], student: Float32Array): Float32Array {
  const length = teacher[0]?.length ?? 0;
  const made = teacher.map((_, i) => student.subarray(i * length, (i + 1) * length));
  const lines: Float32Array[] = [];
  for (let at = 0; at < teacher.length; at += COLUMNS) {
    lines.push(...teacher.slice(at, at + COLUMNS), ...made.slice(at, at + COLUMNS));
  }
  return stacked(lines);
}

/** triples | shuffled batches | student trainer | run folder */
import { join } from "node:path";
import { hashWeights, type Weights } from "../engine/weights.ts";
import type { DenoiserSpec } from "../models/denoiser.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { Settings } from "../schemas/settings.ts";
import { readLatestCheckpoint } from "../stages/train/checkpoint.ts";
import type { SamplerInputs } from "../models/diffusion/sampling.ts";
import type { StudentTrainer } from "../stages/workers/student-trainer.ts";
import { type Denoiser, readCodec, readDenoiser, readPerceptual, startFrom, writeCodec, writeModel } from "../stages/runs/model.ts";
import { createPainter } from "../stages/sample/picture-decoder.ts";
import { pictureAt } from "../stages/runs/record.ts";
import { createWatch, imageRows, keptOf, measuringOf, sampleEvenly, teacherRows } from "../stages/runs/watch.ts";
import { checkClasses, conditionsOf } from "../stages/simulate/row-conditions.ts";
import { openTripleStore, readTriples } from "../store/triples.ts";
import { waitForShard } from "../store/follow.ts";
import { openLatentStore, stacked } from "../store/latents.ts";
import { studentBatches } from "../stages/train/student-batches.ts";
import { callsOf, identityOf, trainingLoop } from "../stages/train/loop.ts";
import { type Share, startGrowing, withThreads } from "../stages/workers/threads.ts";
import { startWorker } from "../stages/workers/start.ts";

/**
 * Trains a one-step student on a store that is finished or still being written: which rows a step sees does not depend
 * on it. Resumes exactly. The pictures show the teacher's latents of the store's first rows above the student's
 * and its moving average's. The student written is the moving average of the least online distance (`train.keep`).
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
    throw new Failure(
      `Cannot train on ${options.store}: another teacher than ${options.teacher} made it. Name the run that simulate was given.`,
    );
  }
  if (judgesFeatures(settings) && !settings.train.perceptual) {
    throw badUsage(
      `Cannot judge by features (train.discriminator=${settings.train.discriminator}) without a perceptual network: name a run of \`pretrain perceptual\` in train.perceptual, or set train.discriminator=teacher`,
    );
  }
  const perceptual = settings.train.perceptual ? await readPerceptual(settings.train.perceptual) : undefined;
  if (perceptual && String(perceptual.description.config.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot compare latents of shape ${spec.shape} with ${settings.train.perceptual}: it was trained on shape ${perceptual.description.config.shape} (train.perceptual)`,
    );
  }
  const start = settings.train.from ? await startOfStudent(settings.train.from, spec, context) : undefined;
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
        module: new URL("../stages/workers/student-trainer.ts", import.meta.url),
        remedy: "lower train.batch",
        options: {
          ...{ spec, teacher: teacher.weights, start, settings: settings.train, engine: withThreads(engine, count), seed },
          ...(perceptual && { perceptual: { config: perceptual.description.config, weights: perceptual.weights } }),
        },
        signal: context.signal,
      }),
    onGrown: (count) => context.report({ type: "note", stage: "train", message: `goes on with ${count} threads, which others have left` }),
  }).catch(async (error) => {
    await painter.close();
    throw error;
  });
  const sample = (inputs: SamplerInputs) => sampleEvenly((part) => trainer.call("sample", part), inputs);
  const watch = createWatch({
    ...{ settings: settings.train, spec, conditions, painter, imageSize: codec.description.imageSize, seed, context },
    engine: withThreads(engine, threads()),
    reference: () =>
      images ? imageRows(images.store, teacher.description, context) : teacherRows(store, settings.train.distanceCount, context),
  });
  const measuring = measuringOf({ settings: settings.train, watch, sample, reference: (images?.store ?? store).fingerprint });
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
        start: start && Object.values(start).map(hashWeights),
      }),
      trainer: callsOf(trainer),
      context,
      batches,
      ...(settings.train.distanceEvery > 0 && { measuring }),
      picture: async (step) => {
        await waitForShard(store, 0, context);
        const rows = (await readTriples(store, 0)).slice(0, PICTURED);
        const noise = stacked(rows.map((row) => row.noise));
        const batch = { label: Int32Array.from(rows, (row) => row.label ?? -1), caption: rows.map((row) => row.caption ?? null) };
        const inputs = { noise, rows: rows.length, conditions: conditions.inputs(batch) };
        const raw = await sampleEvenly((part) => trainer.call("sampleRaw", part), inputs);
        const average = await sample(inputs);
        await painter.paint({
          path: pictureAt(out, step),
          ...sideBySide(
            rows.map((row) => row.latent),
            { raw, average },
          ),
        });
      },
    });
    const weights = keptOf(sets, settings.train);
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

/** Whether there is a discriminator that looks through the perceptual network. */
export function judgesFeatures({ train: { discriminator, adversarialWeight } }: Settings): boolean {
  return discriminator !== "teacher" && adversarialWeight > 0;
}

/** Of an earlier run: the student it wrote and, where its checkpoint has one, the discriminator it ended with. */
async function startOfStudent(folder: string, spec: DenoiserSpec, context: Context): Promise<{ student: Weights; judge?: Weights }> {
  const student = await startFrom(folder, spec, "train.from");
  const warn = (message: string): void => context.report({ type: "warning", stage: "train", message });
  const judge = (await readLatestCheckpoint({ folder, warn }))?.sets.judge;
  return { student, ...(judge && { judge }) };
}

/** Latents of the real images, as the teacher takes them. Throws a Failure where they are of another shape or other classes. */
async function openImages(folder: string, { spec, statistics }: Denoiser["description"]) {
  const store = await openLatentStore({ folder });
  if (String(store.manifest.shape) !== String(spec.shape)) {
    throw new Failure(
      `Cannot show the discriminator the images of ${folder}: their latents have shape ${store.manifest.shape}, the teacher's ${spec.shape}. Name the store it was trained on (train.images).`,
    );
  }
  checkClasses(store, spec);
  return { store, statistics, sigmaData: spec.diffusion.sigmaData };
}

const COLUMNS = 16;
const PICTURED = 32;

/** Lines of a grid in threes: the teacher's, and below of the same noise and condition the student's and its moving average's. */
function sideBySide(teacher: Float32Array[], { raw, average }: { raw: Float32Array; average: Float32Array }) {
  const length = teacher[0]?.length ?? 0;
  const rowsOf = (latents: Float32Array) => teacher.map((_, i) => latents.subarray(i * length, (i + 1) * length));
  const [student, steady] = [rowsOf(raw), rowsOf(average)];
  const columns = Math.min(COLUMNS, teacher.length);
  const lines: Float32Array[] = [];
  const rowLabels: string[] = [];
  for (let at = 0; at + columns <= teacher.length; at += columns) {
    for (const rows of [teacher, student, steady]) lines.push(...rows.slice(at, at + columns));
    rowLabels.push("teacher", "student", "average");
  }
  return { latents: stacked(lines), columns, rowLabels };
}

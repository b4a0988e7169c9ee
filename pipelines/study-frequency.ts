/**
 * pipeline study frequency --teacher RUN [--student RUN] --reference LATENTS --out FOLDER
 *
 * images | noised | denoised, with and without each part of the network | energies by frequency band | charts and a text
 */
import { type ConditionBag, conditionedRows } from "../models/conditions.ts";
import { createParameterisation } from "../models/diffusion/parameterisation.ts";
import { timeGrid } from "../models/diffusion/schedule.ts";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { normals } from "../schemas/numbers/philox.ts";
import type { Settings } from "../schemas/settings.ts";
import { markFolder } from "../stages/runs/folder.ts";
import { inPlaceOf } from "../stages/runs/mirror.ts";
import { type Denoiser, readDenoiser } from "../stages/runs/model.ts";
import { writeSettings } from "../stages/runs/settings-file.ts";
import { openConditions } from "../stages/sample/conditions.ts";
import { type Frequencies, measureFrequencies } from "../stages/study/frequency/measure.ts";
import { type Measured, writeFrequencies } from "../stages/study/frequency/report.ts";
import { readResults } from "../stages/study/results.ts";
import { imageRows, type WatchedRow } from "../stages/train/reference-rows.ts";
import type { FrequencyApi, FrequencyOptions } from "../stages/workers/frequency.ts";
import { startWorker } from "../stages/workers/start.ts";
import { openLatentStore, stacked } from "../store/rows/latents.ts";

/** Rows a call, rows at most, noise levels of the teacher's own grid, and frequency bands at most. */
const [BATCH, ROWS, LEVELS, BANDS] = [32, 256, 12, 6];

/**
 * Measures which frequency bands each noise level and each place of the teacher serves and, with a student, of the student: what
 * one-step training made of them. In `out`: frequency.md, frequency.json and a chart of levels and one of layers for each network.
 * The same rows, noise and levels serve both. Throws a Failure where the store is too small, or of other latents than the teacher's.
 */
export async function studyFrequency(options: {
  teacher: string;
  student?: string;
  reference: string;
  out: string;
  command?: string;
  settings: Settings;
  context: Context;
}): Promise<Measured[]> {
  const { out, context } = options;
  return inPlaceOf({ out, kind: "study", command: "study", context }, (place) => measuredIn({ ...options, ...place }));
}

async function measuredIn(options: Parameters<typeof studyFrequency>[0]): Promise<Measured[]> {
  const { out, reference, settings, context, command } = options;
  if ((await readResults(out)).length > 0) {
    throw new Failure(`Cannot put the study "frequency" into ${out}: it holds another study. Choose another --out.`);
  }
  const teacher = await readDenoiser(options.teacher, context);
  const rows = await rowsOf(reference, teacher, context);
  const networks = [
    { name: "teacher" as const, folder: options.teacher, model: teacher },
    ...(options.student
      ? [{ name: "student" as const, folder: options.student, model: await readDenoiser(options.student, context) }]
      : []),
  ];
  for (const { folder, model } of networks) checkShape(folder, model, teacher);
  await markFolder(out, { kind: "study" });
  await writeSettings(out, settings, context);
  const measured: Measured[] = [];
  for (const { name, folder, model } of networks) {
    measured.push({
      name,
      folder,
      hash: model.description.hash,
      frequencies: await frequenciesOf({ name, model, teacher, rows, settings, context }),
    });
  }
  const report = await writeFrequencies({
    folder: out,
    measured,
    rows: rows.length,
    seed: settings.seed,
    reference,
    command,
  });
  context.report({ type: "result", stage: "study", values: { report } });
  return measured;
}

/** Rows of the reference as the teacher takes them: a multiple of a call's. */
async function rowsOf(reference: string, teacher: Denoiser, context: Context): Promise<WatchedRow[]> {
  const store = await openLatentStore({ folder: reference });
  if (String(store.manifest.shape) !== String(teacher.description.spec.shape)) {
    throw new Failure(
      `Cannot study frequencies on ${reference}: its latents have shape ${store.manifest.shape}, the teacher's ` +
        `${teacher.description.spec.shape}. Name the store it was trained on (--reference).`,
    );
  }
  const rows = await imageRows(store, teacher.description, context);
  const whole = rows.slice(0, Math.min(ROWS, rows.length - (rows.length % BATCH)));
  if (whole.length > 0) return whole;
  throw new Failure(
    `Cannot study frequencies on ${reference}: it has ${rows.length} images, and ${BATCH} are needed. Ingest more (--reference).`,
  );
}

function checkShape(folder: string, { description }: Denoiser, teacher: Denoiser): void {
  const [own, wanted] = [description.spec.shape, teacher.description.spec.shape].map(String);
  if (own === wanted) return;
  throw new Failure(`Cannot study ${folder} beside the teacher: its latents have shape ${own}, the teacher's ${wanted} (--student)`);
}

async function frequenciesOf(options: {
  name: string;
  model: Denoiser;
  teacher: Denoiser;
  rows: readonly WatchedRow[];
  settings: Settings;
  context: Context;
}): Promise<Frequencies> {
  const { name, model, teacher, rows, settings, context } = options;
  const { spec } = model.description;
  const conditions = openConditions({
    description: model.description,
    choice: settings.simulate,
    engine: settings.engine,
    signal: context.signal,
  });
  const bags: ConditionBag[] = [];
  for (let from = 0; from < rows.length; from += BATCH) bags.push(await conditions.inputs(conditionedRows(rows.slice(from, from + BATCH))));
  await conditions.close();
  const clean = stacked(rows.map(({ latent }) => latent));
  const clock = createParameterisation(teacher.description.spec.diffusion);
  const work: FrequencyOptions = { spec, weights: model.weights, batch: BATCH, engine: settings.engine };
  const worker = await startWorker<FrequencyApi>({
    name: `denoiser of the ${name}`,
    module: new URL("../stages/workers/frequency.ts", import.meta.url),
    remedy: "study a smaller network",
    options: work,
    signal: context.signal,
  });
  try {
    const [height, width] = spec.shape;
    return await measureFrequencies({
      denoise: ({ x, sigma, first, without }) => {
        context.signal.throwIfAborted();
        return worker.call("denoise", { x, sigma, conditions: bags[first / BATCH]!, ...(without !== undefined && { without }) });
      },
      places: await worker.call("places", undefined),
      clean,
      noise: normals({ seed: settings.seed, stream: "study/frequency", length: clean.length }),
      shape: spec.shape,
      sigmas: [...timeGrid({ clock, steps: LEVELS })].slice(0, -1),
      bands: Math.max(1, Math.min(BANDS, Math.floor(Math.min(height, width) / 2))),
      batch: BATCH,
      onPiece: (done, total) => context.report({ type: "progress", stage: name, done, total, unit: "batches" }),
    });
  } finally {
    await worker.close();
  }
}

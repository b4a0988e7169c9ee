/**
 * The jobs of the command line as functions: an object in the place of flags. Settings come as they do there, each over the one
 * before: the defaults, `preset`, what the run that is named recorded, the method's recipe, `settings`.
 */
import { ingest as ingestPipeline } from "../pipelines/ingest.ts";
import { pretrain as pretrainPipeline } from "../pipelines/pretrain.ts";
import { sample as samplePipeline } from "../pipelines/sample.ts";
import { simulate as simulatePipeline } from "../pipelines/simulate.ts";
import { train as trainPipeline } from "../pipelines/train.ts";
import { model } from "../recipes/groups.ts";
import type { PipelineEvent } from "../schemas/events.ts";
import type { LoraRequest } from "../schemas/model.ts";
import type { Denoiser } from "../stages/runs/model.ts";
import type { Generated } from "../stages/sample/generator.ts";
import type { Summary } from "../store/shards/summary.ts";
import type { Work } from "../store/making/work.ts";
import { prepareJob, type SettingsInput } from "./prepare-job.ts";

/** What every job takes. */
export interface JobOptions {
  /** A recipe for a whole job, as `pipeline run --preset` takes it: "tiny", "small", "smoke" ... */
  preset?: string;
  /** Settings over all others, as in `{ simulate: { count: 20_000 } }`; docs/GUIDE.md lists the groups. */
  settings?: SettingsInput;
  /** Stops the job, which then rejects with the signal's reason. The same call goes on where it was stopped. */
  signal?: AbortSignal;
  /** Sees progress, notes, warnings and results. Without it warnings go to `process.emitWarning`, and nothing else is told. */
  report?: (event: PipelineEvent) => void;
}

/**
 * Encodes the images of zip files and folders into a latent store at `out`, like `pipeline ingest`. Goes on where an earlier call was
 * stopped. Answers how many rows there are, undefined where shards are left to other processes (`work`). Throws a Failure where
 * nothing could be decoded.
 */
export async function ingest(
  options: JobOptions & { images: string | readonly string[]; out: string; work?: Work },
): Promise<Summary | undefined> {
  const { images, out, work } = options;
  const job = await prepareJob(options, { stage: "ingest", parts: ["encode"] });
  return ingestPipeline({ images: [images].flat(), out, ...(work && { work }), ...job });
}

/**
 * Trains a teacher, autoencoder, perceptual network, image tokenizer or prior on the latent store `data` (a prior on tokens) in the
 * run folder `out`, like `pipeline pretrain`. Resumes exactly. Throws a Failure where the store does not fit the settings.
 */
export async function pretrain(
  options: JobOptions & { what: Parameters<typeof pretrainPipeline>[0]["what"]; data: string; out: string },
): Promise<void> {
  const { what, data, out } = options;
  const job = await prepareJob(options, { stage: "pretrain", folder: data, groups: ["images", "encoder"], parts: [what] });
  await pretrainPipeline({ what, data, out, ...job });
}

/**
 * Solves a teacher's ODE into a store of (noise, latent, condition) triples at `out`, like `pipeline simulate`: under the labels or
 * captions of the latent store `conditions`, the prompts of `settings.simulate.prompts`, or the teacher's own. Goes on where an
 * earlier call was stopped. Throws a Failure where `teacher` is none, or another store stands at `out`.
 */
export async function simulate(
  options: JobOptions & { teacher: string; loras?: readonly LoraRequest[]; conditions?: string; out: string; work?: Work },
): Promise<Summary | undefined> {
  const { teacher, loras, conditions, out, work } = options;
  const job = await prepareJob(options, { stage: "simulate", folder: teacher, groups: [...model, "pretrain"], parts: ["simulate"] });
  return simulatePipeline({ teacher, out, ...(loras && { loras }), ...(conditions && { conditions }), ...(work && { work }), ...job });
}

/**
 * Trains a student of `teacher` in the run folder `out`, like `pipeline train`: by a method of `pipeline methods`, or one's own, whose
 * file `method` then names (a path, or `new URL("./own.ts", import.meta.url)`; see docs/ADD-A-METHOD.md). Methods that need triples
 * take those of `store`, which may still be growing. Resumes exactly. Answers the student, which stands in `out`. Throws a Failure where
 * store and teacher do not belong together, or the method needs what is not given.
 */
export async function train(
  options: JobOptions & { method?: string | URL; store?: string; teacher: string; loras?: readonly LoraRequest[]; out: string },
): Promise<Denoiser> {
  const { store, teacher, loras, out } = options;
  const job = await prepareJob(options, { stage: "train", folder: teacher, groups: model, parts: ["train"] });
  return trainPipeline({ teacher, out, ...(store && { store }), ...(loras && { loras }), ...job });
}

/**
 * Draws `count` samples of the model in a run folder, and puts them into a picture at `out` where one is named, like `pipeline sample`.
 * Answers each as RGB bytes [height, width, 3] with the label and caption it was drawn under. Throws a Failure where a student was not
 * made for so many `steps`, or reads no captions.
 */
export async function sample(
  options: JobOptions & {
    model: string;
    loras?: readonly LoraRequest[];
    count: number;
    out?: string;
    steps?: number;
    prior?: string;
    prompt?: string;
  },
): Promise<Generated[]> {
  const { preset: _, settings: __, signal: ___, report: ____, ...asked } = options;
  const job = await prepareJob(options, { stage: "sample", folder: options.model, groups: model });
  return samplePipeline({ ...asked, ...job });
}

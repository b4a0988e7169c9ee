/** latent store | shuffled batches | trainer | run folder: for the teacher, the autoencoder and the perceptual network */
import { type Compute, type Methods, startCompute } from "../engine/compute.ts";
import { hashWeights, type Weights } from "../engine/weights.ts";
import { autoencoderConfig, latentShape } from "../models/autoencoder.ts";
import { normals } from "../engine/philox.ts";
import type { DenoiserSpec } from "../models/denoiser.ts";
import { perceptualConfig } from "../models/perceptual.ts";
import { createTokenizer, learnTokenizer } from "../models/tokenizer.ts";
import { frequentWords, perceptualTargets } from "../models/words.ts";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { OptimiserSettings, Settings } from "../schemas/settings.ts";
import type { LatentManifest } from "../schemas/store.ts";
import type { AutoencoderTrainer } from "../stages/compute/autoencoder-trainer.ts";
import type { PerceptualTrainer } from "../stages/compute/perceptual-trainer.ts";
import type { TeacherTrainer } from "../stages/compute/teacher-trainer.ts";
import { createConditions } from "../stages/conditions.ts";
import { createPainter } from "../stages/painter.ts";
import { readCodec, readDenoiser, writeCodec, writeModel } from "../stages/model.ts";
import { latentBatches, openLatentStore, readLatents } from "../stages/store/latents.ts";
import type { Store } from "../stages/store/store.ts";
import { readSummary, type Summary } from "../stages/store/summary.ts";
import { callsOf, identityOf, pictureAt, trainingLoop } from "../stages/training-loop.ts";

interface Job {
  store: Store<LatentManifest>;
  summary: Summary;
  data: string;
  out: string;
  settings: Settings;
  context: Context;
}

/**
 * Trains a network on a latent store: `what` is "teacher", "autoencoder" (the store must hold pixels: encoder.kind
 * "pixel") or "perceptual". Resumes exactly; throws a Failure when the store is unfinished or of another kind.
 */
export async function pretrain(options: {
  what: "teacher" | "autoencoder" | "perceptual";
  data: string;
  out: string;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { what, data, out, settings, context } = options;
  const store = await openLatentStore({ folder: data });
  const summary = await readSummary(store);
  if (!summary) throw new Failure(`Cannot pretrain on ${data}: the store is unfinished. Repeat the ingest command that made it.`);
  await writeSettings(out, settings);
  await { teacher: pretrainTeacher, autoencoder: pretrainAutoencoder, perceptual: pretrainPerceptual }[what]({
    ...{ store, summary, data, out, settings, context },
  });
  context.report({ type: "result", stage: `pretrain ${what}`, values: { out } });
}

async function pretrainTeacher(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { network, diffusion, seed, engine } = settings;
  const codec = await readCodec(data);
  const captions = network.condition === "caption" ? await captionsOf(store) : [];
  const tokenizer = captions.length > 0 ? learnTokenizer({ captions, vocabulary: network.vocabulary }) : undefined;
  const { classes, shape } = store.manifest;
  if (network.condition === "class" && classes.length === 0) {
    throw new Failure(`Cannot train a class-conditional teacher on ${data}: it has no classes. Put images in class folders, or set network.condition=none.`);
  }
  const spec: DenoiserSpec = { shape, network, diffusion, classes, vocabulary: tokenizer ? createTokenizer(tokenizer).size : 0 };
  const conditions = createConditions({ spec, tokenizer });
  const optimiser = settings.pretrain.teacher;
  const describe = (weights: Weights) => ({
    description: {
      ...{ format: "onestep-model", version: 1, role: "teacher" } as const,
      ...{ hash: hashWeights(weights), spec, statistics: summary.statistics, tokenizer },
      captions: distinct(captions, 4096),
    },
    weights,
  });
  const start = optimiser.from ? await startFrom(optimiser.from, spec) : undefined;
  await writeCodec(out, codec);

  await withTrainer<TeacherTrainer, void>({
    module: new URL("../stages/compute/teacher-trainer.ts", import.meta.url),
    options: { spec, settings: optimiser, engine, seed, start, plan: settings.simulate },
    context,
    use: async (trainer) => {
      const painter = await createPainter({ codec, statistics: summary.statistics, spec, engine, context });
      try {
        const rows = 64;
        const chosen = conditions.spread(rows, captions, seed);
        const length = shape[0] * shape[1] * shape[2];
        const noise = normals({ seed, stream: "pictures", length: rows * length });
        const sets = await trainingLoop({
          name: "teacher",
          folder: out,
          schedule: optimiser,
          identity: identityOf({ spec, optimiser, seed, start: start && hashWeights(start), data: summary.contents }),
          trainer: callsOf(trainer),
          context,
          batches: (fromStep) => teacherBatches({ job, optimiser, conditions, fromStep }),
          picture: async (step) => {
            if (step === 0) return;
            const latents = await trainer.call("sample", { noise, rows, ...conditions.inputs(chosen) });
            await painter.paint({ path: pictureAt(out, step), latents, columns: 8 });
          },
        });
        await writeModel(out, describe(sets.average as Weights));
      } finally {
        await painter.close();
      }
    },
  });
}

/** The weights of an earlier teacher, which must be the same network and read the same latents and conditions. */
async function startFrom(folder: string, spec: DenoiserSpec): Promise<Weights> {
  const { description, weights } = await readDenoiser(folder);
  if (JSON.stringify(description.spec) === JSON.stringify(spec)) return weights;
  throw new Failure(`Cannot start from the teacher ${folder}: its network, latents or classes are others (pretrain.teacher.from)`);
}

async function* teacherBatches(options: {
  job: Job;
  optimiser: OptimiserSettings;
  conditions: ReturnType<typeof createConditions>;
  fromStep: number;
}): AsyncGenerator<{ step: number; latent: Float32Array; label?: Int32Array; tokens?: Int32Array }> {
  const { job, optimiser, conditions, fromStep } = options;
  for await (const { step, latent, label, caption } of scaledBatches(job, optimiser, fromStep)) {
    yield { step, latent, ...conditions.inputs({ label, caption }) };
  }
}

async function pretrainAutoencoder(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { seed, engine } = settings;
  const { imageSize } = store.manifest;
  if (store.manifest.encoder.kind !== "pixel") {
    throw new Failure(`Cannot train an autoencoder on ${data}: it holds "${store.manifest.encoder.kind}" latents. Ingest the images with --set encoder.kind=pixel.`);
  }
  const optimiser = settings.pretrain.autoencoder;
  const config = autoencoderConfig(optimiser);
  await withTrainer<AutoencoderTrainer, void>({
    module: new URL("../stages/compute/autoencoder-trainer.ts", import.meta.url),
    options: { config, imageSize, settings: optimiser, engine, seed },
    context,
    use: async (trainer) => {
      const codec = await readCodec(data);
      const painter = await createPainter({ codec, engine, context });
      let sample: Float32Array | undefined;
      const batches = async function* (fromStep: number) {
        for await (const { step, latent } of latentBatches(store, { ...orderOf(settings, optimiser), fromStep, signal: context.signal })) {
          sample ??= latent;
          yield { step, images: latent };
        }
      };
      try {
        const sets = await trainingLoop({
          name: "autoencoder",
          folder: out,
          schedule: optimiser,
          identity: identityOf({ config, optimiser, seed, data: summary.contents }),
          trainer: callsOf(trainer),
          context,
          batches,
          picture: async (step) => {
            if (!sample) return;
            const decoded = await trainer.call("reconstruct", sample);
            const length = 3 * imageSize * imageSize;
            const both = new Float32Array(2 * sample.length); // each image above its reconstruction, eight pairs a row
            for (let i = 0; i < optimiser.batch; i++) {
              const at = (Math.floor(i / 8) * 16 + (i % 8)) * length;
              both.set(sample.subarray(i * length, (i + 1) * length), at);
              both.set(decoded.subarray(i * length, (i + 1) * length), at + 8 * length);
            }
            await painter.paint({ path: pictureAt(out, step), latents: both, columns: 8 });
          },
        });
        const weights = sets.average as Weights;
        const shape = latentShape(config, imageSize);
        await writeCodec(out, { description: { kind: "autoencoder", imageSize, shape, hash: hashWeights(weights), config }, weights });
      } finally {
        await painter.close();
      }
    },
  });
}

async function pretrainPerceptual(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { seed, engine, diffusion } = settings;
  const optimiser = settings.pretrain.perceptual;
  const { classes, shape } = store.manifest;
  const words = frequentWords(await captionsOf(store));
  if (classes.length === 0 && words.length === 0) {
    throw new Failure(`Cannot train a perceptual network on ${data}: its images have neither classes nor captions to learn from.`);
  }
  const config = perceptualConfig({ shape, width: optimiser.width, sigmaData: diffusion.sigmaData, classes: classes.length, words });
  await withTrainer<PerceptualTrainer, void>({
    module: new URL("../stages/compute/perceptual-trainer.ts", import.meta.url),
    options: { config, settings: optimiser, engine, seed },
    context,
    use: async (trainer) => {
      const batches = async function* (fromStep: number) {
        for await (const { step, latent, label, caption } of scaledBatches(job, optimiser, fromStep)) {
          const captions = caption.map((text) => text ?? "");
          yield { step, latents: latent, targets: perceptualTargets({ classes: classes.length, words, labels: label, captions }) };
        }
      };
      const sets = await trainingLoop({
        name: "perceptual",
        folder: out,
        schedule: optimiser,
        identity: identityOf({ config, optimiser, seed, data: summary.contents }),
        trainer: callsOf(trainer),
        context,
        batches,
      });
      const weights = sets.average as Weights;
      await writeModel(out, {
        description: { format: "onestep-model", version: 1, role: "perceptual", hash: hashWeights(weights), config: { ...config, shape, words } },
        weights,
      });
    },
  });
}

/** Shards shuffled together. */
const WINDOW = 16;

/** Batches of normalised latents from a finished store. */
function scaledBatches({ store, summary, settings, context }: Job, optimiser: OptimiserSettings, fromStep: number) {
  const scale = { statistics: summary.statistics, sigmaData: settings.diffusion.sigmaData };
  return latentBatches(store, { ...orderOf(settings, optimiser), scale, fromStep, signal: context.signal });
}

function orderOf(settings: Settings, optimiser: OptimiserSettings) {
  const whole = { firstShards: Number.POSITIVE_INFINITY, stepsPerShard: 1 }; // the store is finished
  return { seed: settings.seed, batch: optimiser.batch, toStep: optimiser.steps, window: WINDOW, ...whole };
}

async function withTrainer<Api extends Methods, R>(options: {
  module: URL;
  options: unknown;
  context: Context;
  use: (trainer: Compute<Api>) => Promise<R>;
}): Promise<R> {
  const { module, options: forwarded, context, use } = options;
  const trainer = await startCompute<Api>({ module, options: forwarded, signal: context.signal });
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}

async function captionsOf(store: Store<LatentManifest>): Promise<string[]> {
  const captions: string[] = [];
  for await (const { caption } of readLatents(store)) if (caption) captions.push(caption);
  return captions;
}

const distinct = (values: string[], limit: number): string[] => [...new Set(values)].slice(0, limit);

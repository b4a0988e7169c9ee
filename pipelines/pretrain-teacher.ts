/** latents | teacher trainer | RUN: denoising score matching with pictures on the way */
import { normals } from "../schemas/numbers/philox.ts";
import { hashWeights } from "../engine/weights.ts";
import type { DenoiserSpec } from "../models/denoiser.ts";
import { learnConditions } from "../models/encoders/own.ts";
import type { OptimiserSettings } from "../schemas/settings.ts";
import type { SamplerInputs } from "../models/diffusion/sampling.ts";
import type { TeacherTrainer } from "../stages/workers/teacher-trainer.ts";
import { type ConditionBag, createConditions } from "../models/conditions.ts";
import { readCodec, startFrom, writeCodec, writeModel } from "../stages/runs/model.ts";
import { createPainter } from "../stages/sample/picture-decoder.ts";
import { captionsOf, type Job, representative, scaledBatches, withTrainer } from "../stages/train/pretraining.ts";
import { pictureAt } from "../stages/runs/record.ts";
import { createWatch, imageRows, keptOf, measuringOf, sampleEvenly } from "../stages/runs/watch.ts";
import { callsOf, identityOf, trainingLoop } from "../stages/train/loop.ts";

/** Trains the teacher; see stages/compute/teacher-trainer.ts. */
export async function pretrainTeacher(job: Job): Promise<void> {
  const { store, summary, data, out, settings, context } = job;
  const { network, diffusion, seed, engine } = settings;
  const codec = await readCodec(data);
  const { classes, shape } = store.manifest;
  const { captions, tokenizer, vocabulary } = await learnConditions({ network, data, classes, captions: () => captionsOf(store) });
  const spec: DenoiserSpec = { shape, network, diffusion, classes, vocabulary };
  const conditions = createConditions({ spec, tokenizer });
  const optimiser = settings.pretrain.teacher;
  const start = optimiser.from ? await startFrom(optimiser.from, spec, "pretrain.teacher.from") : undefined;
  await writeCodec(out, codec);

  await withTrainer<TeacherTrainer, void>({
    what: "teacher",
    module: new URL("../stages/workers/teacher-trainer.ts", import.meta.url),
    options: { spec, settings: optimiser, engine, seed, start, plan: settings.simulate },
    context,
    use: async (trainer) => {
      const painter = await createPainter({ codec, statistics: summary.statistics, spec, engine, context });
      try {
        const rows = 64;
        const chosen = conditions.spread(rows, captions, seed);
        const length = shape[0] * shape[1] * shape[2];
        const noise = normals({ seed, stream: "pictures", length: rows * length });
        const sample = (inputs: SamplerInputs) => sampleEvenly((part) => trainer.call("sample", part), inputs);
        const watch = createWatch({
          ...{ settings: optimiser, spec, conditions, painter, imageSize: codec.description.imageSize, seed, engine, context },
          reference: () => imageRows(store, { statistics: summary.statistics, spec }, context),
        });
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
            const latents = await sample({ noise, rows, conditions: conditions.inputs(chosen) });
            await painter.paint({ path: pictureAt(out, step), latents, columns: 8 });
          },
          ...(optimiser.distanceEvery > 0 && {
            measuring: measuringOf({ settings: optimiser, watch, sample, reference: summary.contents }),
          }),
        }).finally(watch.close);
        const weights = keptOf(sets, optimiser);
        await writeModel(out, {
          description: {
            ...({ format: "onestep-model", version: 1, role: "teacher" } as const),
            ...{ hash: hashWeights(weights), spec, statistics: summary.statistics, tokenizer },
            captions: representative(captions, 4096),
          },
          weights,
        });
      } finally {
        await painter.close();
      }
    },
  });
}

async function* teacherBatches(options: {
  job: Job;
  optimiser: OptimiserSettings;
  conditions: ReturnType<typeof createConditions>;
  fromStep: number;
}): AsyncGenerator<{ step: number; latent: Float32Array; conditions: ConditionBag }> {
  const { job, optimiser, conditions, fromStep } = options;
  for await (const { step, latent, label, caption } of scaledBatches(job, optimiser, fromStep)) {
    yield { step, latent, conditions: conditions.inputs({ label, caption }) };
  }
}

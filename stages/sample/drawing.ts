/** The network of a run folder, and the decoder of its latents: what draws once it is told under which conditions. */
import type { ConditionBag } from "../../models/conditions.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import { planOf } from "../../models/diffusion/sampler-plan.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSize, Picture } from "../../schemas/images.ts";
import type { Settings } from "../../schemas/settings.ts";
import { type Denoiser, readCodec } from "../runs/model.ts";
import { startSampler } from "../workers/start-sampler.ts";
import { createPictureDecoder } from "./picture-decoder.ts";
import { elements } from "../../engine/weights.ts";

/** Samples number `start` and the `count - 1` after it. */
export interface Rows {
  seed: number;
  start?: number;
  count: number;
}

/** Which samples, each a function of the seed, its number and condition. */
export interface Draw extends Rows {
  /** [count]; -1, or none at all, for the classes in turn. */
  labels?: ArrayLike<number>;
  /** [count]; null, or none at all, for captions drawn from those the model keeps. */
  captions?: readonly (string | null)[];
}

export interface Drawing {
  /** Network evaluations per sample. */
  nfe: number;
  /** Clean latents [count * h * w * c] in the model's scale, each a function of the seed, its number and its conditions. */
  latents: (rows: Rows, conditions: ConditionBag) => Promise<Float32Array>;
  /** Pictures of such latents. Throws a Failure where their values are not finite. */
  decode: (latents: Float32Array) => Promise<Picture[]>;
  close: () => Promise<void>;
}

/**
 * Opens the model of the run folder `path`: a student samples as its model.json says, a teacher by `settings.simulate`; `steps`
 * asks for another number of network calls of the one, of solver steps of the other. Throws a usage failure where a student was
 * not made for so many steps.
 */
export async function openDrawing(options: {
  path: string;
  model: Denoiser;
  settings: Settings;
  context: Context;
  batch: number;
  steps?: number;
  /** Of a published teacher's pictures, as it was read. */
  size?: ImageSize | undefined;
}): Promise<Drawing> {
  const { path, settings, context, batch, steps } = options;
  const { description, weights } = options.model;
  const { engine, simulate } = settings;
  const { spec, statistics } = description;
  const codec = await readCodec(path, { ...context, size: options.size });
  const plan = planOf(description, simulate, { steps, name: path });
  const length = elements(spec.shape);
  const compute = await startSampler({ name: "sampler", spec, weights, plan, batch, engine, signal: context.signal });
  const decoder = await createPictureDecoder({ codec, engine, context, spec, statistics, batch: Math.min(batch, 16) }).catch(
    async (error) => {
      await compute.close();
      throw error;
    },
  );
  return {
    nfe: await compute.call("evaluations", undefined as never),
    // Their noise is not that of any triple of the same seed.
    latents: ({ seed, start = 0, count }, conditions) => {
      const noise = noiseFor({ seed, stream: "samples", from: start, rows: count, spec, plan });
      return compute.call("sample", { ...noise, rows: count, conditions });
    },
    // Pictures of a model are a result: none of them may be black because there was nothing to show.
    decode: (latents) =>
      decoder.decode(latents, (bad) => {
        throw new Failure(
          `Cannot draw pictures with ${path}: ${bad} of ${latents.length / length} hold values that are not finite. ` +
            "Its weights or its codec's are damaged, or its training diverged: name another model, or train it at a lower learning rate.",
        );
      }),
    close: async () => {
      await Promise.all([compute.close(), decoder.close()]);
    },
  };
}

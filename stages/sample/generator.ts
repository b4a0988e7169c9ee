/** A teacher or student of a run folder as a generator of pictures. */
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import { planOf } from "../../models/diffusion/sampler-plan.ts";
import type { ConditionColumn, Conditioned } from "../../models/conditions.ts";
import { readCodec, readDenoiser } from "../runs/model.ts";
import { createPictureDecoder } from "./picture-decoder.ts";
import type { Picture } from "../../schemas/images.ts";
import { conditionsOf } from "../simulate/row-conditions.ts";
import { startSampler } from "../workers/start-sampler.ts";

/** Which samples: number `start` and the `count - 1` after it, each a function of the seed, its number and condition. */
export interface Draw {
  seed: number;
  start?: number;
  count: number;
  /** [count]; -1, or none at all, for the classes in turn. */
  labels?: ArrayLike<number>;
  /** [count]; null, or none at all, for captions drawn from those the model keeps. */
  captions?: readonly (string | null)[];
}

/** A picture and the condition it was made under. */
export interface Generated extends Picture {
  label: number | null;
  caption: string | null;
}

export interface Generator {
  kind: "teacher" | "student";
  /** The run folder. */
  path: string;
  /** Network evaluations per sample. */
  nfe: number;
  description: DenoiserDescription;
  /** Pictures in order, `batch` at a time. Throws a Failure at the first batch with values that are not finite. */
  sample: (draw: Draw) => AsyncGenerator<Generated>;
  /** Clean latents [count * h * w * c] in the model's scale, of the same samples. */
  latents: (draw: Draw) => Promise<Float32Array>;
  /** Pictures of such latents. Throws a Failure where their values are not finite. */
  decode: (latents: Float32Array) => Promise<Picture[]>;
  close: () => Promise<void>;
}

/**
 * Opens the model of a run folder: a student samples as its model.json says, a teacher by `settings.simulate`; `steps` asks for
 * another number of network calls of the one, of solver steps of the other. `batch` samples go through the network at once.
 * Throws a usage failure where a student was not made for so many steps.
 */
export async function openGenerator(options: {
  path: string;
  settings: Settings;
  context: Context;
  batch?: number;
  steps?: number;
}): Promise<Generator> {
  const { path, settings, context, steps } = options;
  const { engine, simulate } = settings;
  const { batch = simulate.batch } = options;
  const { description, weights } = await readDenoiser(path, context);
  const codec = await readCodec(path, context);
  const { role, spec, statistics } = description;
  const plan = planOf(description, simulate, { steps, name: path });
  const conditions = conditionsOf(description);
  const reads = (column: ConditionColumn): boolean => conditions.columns.includes(column);
  const length = spec.shape.reduce((product, side) => product * side, 1);
  const compute = await startSampler({ name: "sampler", spec, weights, plan, batch, engine, signal: context.signal });
  const decoder = await createPictureDecoder({ codec, engine, context, spec, statistics, batch: Math.min(batch, 16) }).catch(
    async (error) => {
      await compute.close();
      throw error;
    },
  );

  /** The conditions asked for; where there are none, the model's own. */
  function conditioned({ seed, start = 0, count, labels, captions }: Draw): Conditioned {
    const own = conditions.spread(start + count, description.captions, seed);
    const label = Int32Array.from({ length: count }, (_, i) => {
      const asked = labels?.[i] ?? -1;
      return asked >= 0 ? asked : (own.label[start + i] as number);
    });
    const unknown = reads("label") ? label.find((value) => value >= spec.classes.length) : undefined;
    if (unknown !== undefined) {
      throw new Failure(
        `Cannot generate class ${unknown} with ${path}: it has classes 0 to ${spec.classes.length - 1}. ` +
          "Name a reference with the same classes.",
      );
    }
    const caption = Array.from({ length: count }, (_, i) => captions?.[i] ?? own.caption[start + i] ?? null);
    return { label, caption };
  }

  /** Samples under conditions, one call of the worker. Their noise is not that of any triple of the same seed. */
  function integrate({ seed, start = 0, count }: Draw, given: Conditioned): Promise<Float32Array> {
    const noise = noiseFor({ seed, stream: "samples", from: start, rows: count, spec, plan });
    return compute.call("sample", { ...noise, rows: count, conditions: conditions.inputs(given) });
  }

  /** Pictures of a model are a result: none of them may be black because there was nothing to show. */
  function decode(latents: Float32Array): Promise<Picture[]> {
    return decoder.decode(latents, (bad) => {
      throw new Failure(
        `Cannot draw pictures with ${path}: ${bad} of ${latents.length / length} hold values that are not finite. ` +
          "Its weights or its codec's are damaged, or its training diverged: name another model, or train it at a lower learning rate.",
      );
    });
  }

  return {
    kind: role,
    path,
    nfe: await compute.call("evaluations", undefined as never),
    description,
    latents: async (draw) => integrate(draw, conditioned(draw)),
    decode,
    sample: async function* (draw) {
      const all = conditioned(draw);
      for (let from = 0; from < draw.count; from += batch) {
        const count = Math.min(batch, draw.count - from);
        const label = all.label.subarray(from, from + count);
        const caption = all.caption.slice(from, from + count);
        const latents = await integrate({ ...draw, start: (draw.start ?? 0) + from, count }, { label, caption });
        for (const [i, picture] of (await decode(latents)).entries()) {
          yield {
            ...picture,
            label: reads("label") ? (label[i] as number) : null,
            caption: reads("caption") ? (caption[i] as string | null) : null,
          };
        }
      }
    },
    close: async () => {
      await Promise.all([compute.close(), decoder.close()]);
    },
  };
}

/** The online distance of a training: a small sample of fixed noise and conditions, measured again and again. */
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";
import type { Context } from "../../schemas/events.ts";
import type { EngineSettings, WatchSettings } from "../../schemas/settings.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Watched, Watcher } from "../workers/watcher.ts";
import { type ConditionBag, conditionedRows, type Conditions } from "../../models/conditions.ts";
import { type ImageSize, pixelsOf } from "../../schemas/images.ts";
import type { PictureDecoder } from "../sample/picture-decoder.ts";
import { textHash } from "../../store/places/hash.ts";
import { stacked } from "../../store/rows/latents.ts";
import { startWorker } from "../workers/start.ts";
import { COMPARABLE, type WatchedRow } from "./reference-rows.ts";

export interface Watch {
  /** Samples, measures and answers the figures: a pure function of the weights that `sample` (as of sample-evenly.ts) has. */
  measure: (sample: (inputs: SamplerInputs) => Promise<Float32Array>) => Promise<Watched>;
  close: () => Promise<void>;
}

/** Samples and pictures held at a time. */
const CHUNK = 256;

/**
 * A watch over `settings.distanceCount` samples, whose noise no training row has and whose conditions are the reference's
 * in turn. Its worker starts, and reads the reference, when first asked.
 */
export function createWatch(options: {
  settings: Pick<WatchSettings, "distanceCount" | "distanceFeatures"> & Partial<Pick<WatchSettings, "distanceRecall">>;
  spec: DenoiserDescription["spec"];
  /** How samples are drawn. */
  plan: SamplerPlan;
  conditions: Conditions;
  reference: () => Promise<WatchedRow[]>;
  /** What rows' latents themselves give to condition on, such as codes. */
  ofLatents?: (latents: Float32Array) => Promise<ConditionBag>;
  decoder: PictureDecoder;
  imageSize: ImageSize;
  engine: EngineSettings;
  seed: number;
  context: Context;
}): Watch {
  const { settings, spec, plan, conditions, decoder, seed, context } = options;
  let opened: Promise<Awaited<ReturnType<typeof open>>> | undefined;

  async function open() {
    const worker = await startWorker<Watcher>({
      name: "watcher",
      module: new URL("../workers/watcher.ts", import.meta.url),
      remedy: "lower train.distanceCount",
      options: {
        features: settings.distanceFeatures,
        imageSize: options.imageSize,
        engine: options.engine,
        coverage: settings.distanceRecall ?? false,
      },
      signal: context.signal,
    });
    const rows = await options.reference();
    if (rows.length < COMPARABLE) {
      await worker.close();
      const found = rows.length === 0 ? "no sound row" : "one sound row alone";
      throw new Failure(
        `Cannot measure the online distance: the store to compare with has ${found}. See its quarantine, or set distanceEvery to 0.`,
      );
    }
    for (let from = 0; from < rows.length; from += CHUNK)
      await show(worker, stacked(rows.slice(from, from + CHUNK).map((row) => row.latent)));
    await worker.call("refer", undefined);
    const latents = rows.slice(0, settings.distanceCount).map(({ latent }) => latent);
    const more = await options.ofLatents?.(stacked(latents));
    return { worker, more, given: rows.map(({ latent: _, ...condition }) => condition) };
  }

  async function show(worker: Awaited<ReturnType<typeof startWorker<Watcher>>>, latents: Float32Array): Promise<void> {
    const pictures = await decoder.decode(latents);
    const pixels = pixelsOf(pictures);
    await worker.call("add", pixels, { transfer: [pixels.buffer] });
  }

  return {
    measure: async (sample) => {
      opened ??= open();
      const { worker, given, more = {} } = await opened;
      const lent = Math.min(given.length, settings.distanceCount);
      for (let from = 0; from < settings.distanceCount; from += CHUNK) {
        context.signal.throwIfAborted();
        const to = Math.min(from + CHUNK, settings.distanceCount);
        const chosen = Array.from({ length: to - from }, (_, i) => given[(from + i) % given.length] as (typeof given)[number]);
        const inputs = await conditions.inputs(conditionedRows(chosen));
        const lentOf = (values: Float32Array | Int32Array): Float32Array | Int32Array => rowsAt(values, { lent, from, to });
        const ofLatents = Object.fromEntries(Object.entries(more).map(([name, values]) => [name, lentOf(values)]));
        const rows = to - from;
        const noise = noiseFor({ seed, stream: "watch", first: "watch/noise", from, rows, spec, plan });
        const latents = await sample({ ...noise, rows, conditions: { ...inputs, ...ofLatents } });
        if (countNotFinite(latents) > 0) {
          throw new Failure("Cannot measure the training: its samples are not finite, it diverged. Lower the learning rate.");
        }
        await show(worker, latents);
      }
      return worker.call("measure", undefined);
    },
    close: async () => {
      await (await opened?.catch(() => undefined))?.worker.close();
    },
  };
}

/** Rows `from` to `to` of values that have `lent` rows, in turn. */
function rowsAt<T extends Float32Array | Int32Array>(values: T, { lent, from, to }: { lent: number; from: number; to: number }): T {
  const size = values.length / lent;
  const taken = new (values.constructor as new (length: number) => T)((to - from) * size);
  for (let row = from; row < to; row++) taken.set(values.subarray((row % lent) * size, ((row % lent) + 1) * size), (row - from) * size);
  return taken;
}

/** What is measured of a training on its way. */
export interface Measuring {
  /** Steps; the last one is measured whatever it says. */
  every: number;
  /** Figures of the EMA after `step` steps, for metrics.jsonl. */
  measure: (step: number) => Promise<{ distance: number } & Record<string, number>>;
  /** best: the EMA of the least distance is kept. */
  keep: "best" | "last";
  /** Measurements in a row without a lesser distance after which training ends; 0: never before its last step. */
  patience: number;
  /** What distances are a function of beside the weights: those measured otherwise are not compared with. */
  identity: string;
}

/** How a training measures by a watch. `reference` is a hash of what is compared with. */
export function measuringOf(options: {
  settings: WatchSettings;
  watch: Watch;
  sample: (inputs: SamplerInputs) => Promise<Float32Array>;
  reference: string;
}): Measuring {
  const { settings, watch, sample, reference } = options;
  const { distanceEvery, distanceCount, distanceFeatures, keep, patience } = settings;
  return {
    every: distanceEvery,
    keep,
    patience,
    identity: textHash(JSON.stringify([distanceCount, distanceFeatures, reference])),
    measure: async () => ({ ...(await watch.measure(sample)) }),
  };
}

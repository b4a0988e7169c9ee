/** The online distance of a training: a small sample of fixed noise and conditions, measured again and again. */
import { permutation } from "../../schemas/numbers/philox.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";
import type { Context } from "../../schemas/events.ts";
import type { EngineSettings, WatchSettings } from "../../schemas/settings.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import { noiseFor } from "../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Watched, Watcher } from "../workers/watcher.ts";
import { type ConditionBag, type ConditionedRow, conditionedRows, type Conditions } from "../../models/conditions.ts";
import { type ImageSize, pixelsOf } from "../../schemas/images.ts";
import type { PictureDecoder } from "../sample/picture-decoder.ts";
import { textHash } from "../../store/hash.ts";
import { stacked } from "../../store/latents.ts";
import { normalise } from "../../store/statistics.ts";
import { readShard, type Store } from "../../store/store.ts";
import { readTriples } from "../../store/triples.ts";
import { untilThere } from "../runs/vigil.ts";
import { startWorker } from "../workers/start.ts";

/** A real latent as the teacher takes it, with its condition. */
export interface WatchedRow extends ConditionedRow {
  latent: Float32Array;
}

export interface Watch {
  /** Samples, measures and answers the figures: a pure function of the weights that `sample` (as of `sampleEvenly`) has. */
  measure: (sample: (inputs: SamplerInputs) => Promise<Float32Array>) => Promise<Watched>;
  close: () => Promise<void>;
}

/** Real latents to compare with, at most: the reference's features are made anew whenever a training starts. */
const REFERENCE_ROWS = 4096;
/** Rows at least: a single one has no spread. */
const COMPARABLE = 2;
/** Rows a call of the sampler, always: a program of another size could round otherwise. */
export const SAMPLED_AT_ONCE = 32;

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

/** Whether a store has rows enough to be compared with; a warning says where it has not. */
export function isComparable({ folder, manifest }: Store, { report }: Context): boolean {
  if (manifest.entries >= COMPARABLE) return true;
  const message = `the online distance is not measured: ${folder} has one row, and its spread is what samples are compared with`;
  report({ type: "warning", stage: "train", message });
  return false;
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

/** Samples and pictures held at a time. */
const CHUNK = 256;

/** Latents of any number of rows from a sampler that is always called with {@link SAMPLED_AT_ONCE}: the last call repeats its first row. */
export async function sampleEvenly(sample: (inputs: SamplerInputs) => Promise<Float32Array>, inputs: SamplerInputs): Promise<Float32Array> {
  const { rows } = inputs;
  const made = new Float32Array(inputs.noise.length);
  const size = inputs.noise.length / rows;
  for (let from = 0; from < rows; from += SAMPLED_AT_ONCE) {
    const filled = <T extends Float32Array | Int32Array>(values: T): T => {
      const width = values.length / rows;
      const part = new (values.constructor as new (n: number) => T)(SAMPLED_AT_ONCE * width);
      for (let row = 0; row < SAMPLED_AT_ONCE; row++) {
        const source = from + row < rows ? from + row : from;
        part.set(values.subarray(source * width, (source + 1) * width), row * width);
      }
      return part;
    };
    const latents = await sample({
      noise: filled(inputs.noise),
      rows: SAMPLED_AT_ONCE,
      ...(inputs.fresh && { fresh: inputs.fresh.map(filled) }),
      ...(inputs.prior && { prior: filled(inputs.prior) }),
      conditions: Object.fromEntries(Object.entries(inputs.conditions).map(([name, values]) => [name, filled(values)])),
    });
    made.set(latents.subarray(0, Math.min(SAMPLED_AT_ONCE, rows - from) * size), from * size);
  }
  return made;
}

/**
 * Real images of a store, which are waited for, {@link REFERENCE_ROWS} at most. Their shuffled order is always the same:
 * any first part of it has classes as the whole.
 */
export async function imageRows(
  store: Store<LatentManifest>,
  { statistics, spec }: Pick<DenoiserDescription, "statistics" | "spec">,
  context: Context,
): Promise<WatchedRow[]> {
  const order = permutation({ seed: 0, stream: "watch/reference", length: store.manifest.entries });
  const places = new Map(Array.from(order.subarray(0, REFERENCE_ROWS), (index, place) => [index, place]));
  const rows: WatchedRow[] = [];
  for (let shard = 0; shard < store.shards; shard++) {
    await untilThere(store, shard, { stage: "train", context });
    for (const { index, latent, label, caption } of await readShard(store, shard)) {
      const place = places.get(index);
      if (place === undefined) continue;
      rows[place] = { latent: normalise(latent, statistics, spec.diffusion.sigmaData), label, caption };
    }
  }
  return rows.filter(Boolean); // rejected images leave holes
}

/** The teacher's own latents: the store's first `count` rows, which are waited for. */
export async function teacherRows(store: Store<TripleManifest>, count: number, context: Context): Promise<WatchedRow[]> {
  const rows: WatchedRow[] = [];
  for (let shard = 0; shard < store.shards && rows.length < count; shard++) {
    await untilThere(store, shard, { stage: "train", context });
    for (const { latent, label, caption, embedding } of await readTriples(store, shard)) {
      rows.push({ latent, label, caption, ...(embedding && { embedding }) });
    }
  }
  return rows.slice(0, count);
}

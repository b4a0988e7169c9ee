/** What the pretrainings share: the job, its batches in training order, and the trainer's worker. */
import type { Compute, Methods } from "../../engine/compute.ts";
import type { Context } from "../../schemas/events.ts";
import type { OptimiserSettings, Settings } from "../../schemas/settings.ts";
import type { LatentManifest } from "../../schemas/store.ts";
import { latentBatches, readLatents } from "../../store/latents.ts";
import type { Store } from "../../store/store.ts";
import type { Summary } from "../../store/summary.ts";
import { startWorker } from "../workers/start.ts";

/** A finished latent store to train on, and where the result goes. */
export interface Job {
  store: Store<LatentManifest>;
  summary: Summary;
  data: string;
  out: string;
  settings: Settings;
  context: Context;
}

/** Shards shuffled together. */
const WINDOW = 16;

/** Batches of normalised latents from a finished store. */
export function scaledBatches({ store, summary, settings, context }: Job, optimiser: OptimiserSettings, fromStep: number) {
  const scale = { statistics: summary.statistics, sigmaData: settings.diffusion.sigmaData };
  return latentBatches(store, { ...orderOf(settings, optimiser), scale, fromStep, signal: context.signal });
}

/** The training order over a finished store. */
export function orderOf(settings: Settings, optimiser: OptimiserSettings) {
  const whole = { firstShards: Number.POSITIVE_INFINITY, stepsPerShard: 1 }; // the store is finished
  return { seed: settings.seed, batch: optimiser.batch, toStep: optimiser.steps, window: WINDOW, ...whole };
}

/** Runs `use` with a trainer in a worker, which is closed afterwards. */
export async function withTrainer<Api extends Methods, R>(options: {
  /** What is trained, as settings.pretrain names it. */
  what: keyof Settings["pretrain"];
  module: URL;
  options: unknown;
  context: Context;
  use: (trainer: Compute<Api>) => Promise<R>;
}): Promise<R> {
  const { what, module, options: forwarded, context, use } = options;
  const trainer = await startWorker<Api>({
    name: `${what} trainer`,
    module,
    remedy: `lower pretrain.${what}.batch`,
    options: forwarded,
    signal: context.signal,
  });
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}

/** Every caption of a store, in order. */
export async function captionsOf(store: Store<LatentManifest>): Promise<string[]> {
  const captions: string[] = [];
  for await (const { caption } of readLatents(store)) if (caption) captions.push(caption);
  return captions;
}

/** At most `limit` of the distinct captions, evenly from their alphabet: the first ones of a listing may name some subjects only. */
export function representative(captions: readonly string[], limit: number): string[] {
  const all = [...new Set(captions)].sort();
  const count = Math.min(limit, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)] as string);
}

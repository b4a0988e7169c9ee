/**
 * pipeline simulate --teacher RUN --out STORE [--prompts FILE] [--lora FILE[:SCALE]] [--size WxH]
 *
 * planned shards | conditions | the teacher's ODE | triple store
 */
import { isConditional } from "../models/encoders/own.ts";
import type { Context } from "../schemas/events.ts";
import { version } from "../schemas/package.ts";
import type { TripleManifest } from "../schemas/manifest.ts";
import type { Settings } from "../schemas/settings.ts";
import { projectedBytes } from "../stages/doctor/projection.ts";
import { tripleSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import type { Taking } from "../stages/published/teacher.ts";
import { openConditions } from "../stages/sample/conditions.ts";
import { fillTriples } from "../stages/simulate/fill-triples.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { readCodec, readDenoiser } from "../stages/runs/model.ts";
import { keptOf } from "../stages/reprocess/kept.ts";
import { sharedWork } from "../stages/simulate/shared-work.ts";
import { requireOde } from "../stages/simulate/ode.ts";
import { openRowConditions } from "../stages/simulate/row-conditions.ts";
import { tripleManifestOf } from "../stages/simulate/simulate.ts";
import { openVigil } from "../stages/runs/vigil.ts";
import { withThreads } from "../stages/workers/threads.ts";
import { askToRegister, keepingOf } from "../store/shards/readers.ts";
import type { Store } from "../store/shards/store.ts";
import type { Summary } from "../store/shards/summary.ts";
import { createTripleStore } from "../store/rows/triples.ts";
import { finishWork, planWork, type Work } from "../store/making/work.ts";

/**
 * Simulates a teacher's probability-flow ODE into a triple store at `out`, under the labels or captions of the latent
 * store `conditions` (which ingest may still be writing), the prompts of `settings.simulate.prompts`, or the teacher's own.
 * Goes on where an earlier run stopped; the result is the same, also where several processes make a share each. `repair` makes
 * damaged shards again, `retry` failed rows. Answers undefined when shards are left to other shares, or, of a store that is made no
 * further than trainings read it (`simulate.lead`), when these have ended. Throws a Failure when `teacher` is none, when another store
 * stands at `out`, or when no row came out finite.
 */
export async function simulate(
  options: Taking & {
    teacher: string;
    conditions?: string;
    out: string;
    /** Of the sampler's engine; the settings' otherwise. */
    threads?: number;
    work?: Work;
    /** Of a simulation for a training of the same process: whether that is still to read. With a lead, simulation ends with it. */
    isReading?: () => boolean;
    settings: Settings;
    context: Context;
  },
): Promise<Summary | undefined> {
  const { out, work = {}, context } = options;
  return inFolder({ folder: out, kind: "triples", command: "simulate", shared: !work.repair, context }, () => fill({ ...options, work }));
}

async function fill(options: Parameters<typeof simulate>[0] & { work: Work }): Promise<Summary | undefined> {
  const { out, work, settings, context } = options;
  const { report } = context;
  const { loras, size, isReading } = options;
  const teacher = await readDenoiser(options.teacher, { ...context, loras, size, textLength: settings.simulate.textLength });
  const { spec } = teacher.description;
  requireOde(options.teacher, teacher.description, settings.simulate);
  if (!isConditional(spec.network) && settings.simulate.guidance !== 1) {
    report({ type: "warning", stage: "simulate", message: `${options.teacher} takes no conditions: simulate.guidance has no effect` });
  }
  const vigil = openVigil({ stage: "simulate", context });
  const conditions = await openRowConditions({
    teacher: teacher.description,
    latents: options.conditions,
    asked: settings.simulate,
    seed: settings.seed,
    onWait: (shard) => {
      vigil.onWait(options.conditions as string, shard);
      report({ type: "note", stage: "simulate", message: `waiting for ingest to write shard ${shard} of ${options.conditions}` });
    },
  });
  const manifest = tripleManifestOf({ teacher: teacher.description, conditions: conditions.identity, settings, version: version() });
  const store = await createTripleStore({ folder: out, manifest, repair: work.repair });
  const given = openConditions({
    description: teacher.description,
    choice: settings.simulate,
    signal: vigil.signal,
    engine: withThreads(settings.engine, options.threads ?? settings.simulate.threads),
  });
  const negative = manifest.embedding && (async () => (await given.embed?.([null]))?.[0] as Float32Array);
  await writeDescriptions({
    folder: out,
    codec: await readCodec(options.teacher, { ...context, size }),
    settings: tripleSettings(settings, spec),
    context,
    negative,
  }).catch(async (error) => {
    await given.close();
    throw error;
  });

  const lead = await leadOf(store, settings.simulate);
  const { repaired, retried, shards } = await planWork(store, { ...work, ...context, stage: "simulate" });
  const { whyLeft, ...shared } = sharedWork(store, { work, shards, lead, isReading, context: { ...context, signal: vigil.signal } });
  const figures = await fillTriples({
    store,
    ...shared,
    conditions,
    settings,
    context: { ...context, signal: vigil.signal },
    threads: options.threads,
    keep: async (shard) => (retried.has(shard) ? { rows: (await keptOf(store, shard)).rows, failed: new Map() } : undefined),
    teacher: async () => ({ ...teacher, given }),
  }).finally(async () => {
    vigil.close();
    await given.close();
  });
  const summary = await finishWork(store, { ...work, ...context, repaired, stage: "simulate", whyLeft: whyLeft() });
  if (!summary) return undefined;
  const { rows, rejected, bytes } = summary;
  report({ type: "result", stage: "simulate", values: { out, rows, rejected, shards: summary.shards, bytes, ...figures } });
  return summary;
}

/** How many shards simulation may be ahead, where there is a limit. The store's readers are asked to register where somebody needs that. */
async function leadOf(store: Store<TripleManifest>, asked: Settings["simulate"]): Promise<number | undefined> {
  const { lead, keep = "all" } = asked;
  if (lead !== undefined || keep === "unread" || (await keepingOf(store))) await askToRegister(store, keep);
  if (typeof lead !== "string") return lead;
  const [, amount, unit = ""] = /^([\d.]+)([MGT])B$/.exec(lead) ?? [];
  const bytes = Number(amount) * ({ M: 1e6, G: 1e9, T: 1e12 }[unit] as number);
  const { shape, rowsPerShard: count, embedding } = store.manifest;
  return Math.max(1, Math.floor(bytes / projectedBytes({ ...asked, count }, shape, embedding)));
}

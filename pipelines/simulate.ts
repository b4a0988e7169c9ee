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
import { tripleSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import type { Taking } from "../stages/published/teacher.ts";
import { openConditions } from "../stages/sample/conditions.ts";
import { fillTriples } from "../stages/simulate/fill-triples.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { readCodec, readDenoiser } from "../stages/runs/model.ts";
import { keptOf } from "../stages/reprocess/kept.ts";
import { requireOde } from "../stages/simulate/ode.ts";
import { openRowConditions } from "../stages/simulate/row-conditions.ts";
import { tripleManifestOf } from "../stages/simulate/simulate.ts";
import { projectedBytes } from "../stages/doctor/projection.ts";
import { openVigil } from "../stages/runs/vigil.ts";
import { withThreads } from "../stages/workers/threads.ts";
import { rowsOf } from "../store/layout.ts";
import { nearReaders } from "../store/lead.ts";
import { ownThenOthers } from "../store/others.ts";
import { hasShard } from "../store/present.ts";
import { askToRegister, keepingOf, type KnownReader, readerInWords } from "../store/readers.ts";
import { shareOf } from "../store/share.ts";
import type { Store } from "../store/store.ts";
import type { Summary } from "../store/summary.ts";
import { createTripleStore } from "../store/triples.ts";
import { finishWork, planWork, type Work } from "../store/work.ts";

/**
 * Simulates a teacher's probability-flow ODE into a triple store at `out`, under the labels or captions of the latent
 * store `conditions` (which ingest may still be writing), the prompts of `settings.simulate.prompts`, or the teacher's own.
 * Goes on where an earlier run stopped; the result is the same, also where several processes make a share each. `repair` makes
 * damaged shards again, `retry` failed rows. Answers undefined when shards are left to other shares. Throws a Failure when `teacher`
 * is none, when another store stands at `out`, or when no row came out finite.
 */
export async function simulate(
  options: Taking & {
    teacher: string;
    conditions?: string;
    out: string;
    /** Of the sampler's engine; the settings' otherwise. */
    threads?: number;
    work?: Work;
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
  const { loras, size } = options;
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
    negative,
  }).catch(async (error) => {
    await given.close();
    throw error;
  });

  const lead = await nearness(store, settings.simulate, work);
  const { repaired, retried, ...planned } = await planWork(store, { ...work, ...context, stage: "simulate" });
  const figures = await fillTriples({
    store,
    ...sharedWork(store, { work, ...planned, lead, context: { ...context, signal: vigil.signal } }),
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
  const summary = await finishWork(store, { ...work, ...context, repaired, stage: "simulate" });
  if (!summary) return undefined;
  const { rows, rejected, bytes } = summary;
  report({ type: "result", stage: "simulate", values: { out, rows, rejected, shards: summary.shards, bytes, ...figures } });
  return summary;
}

/** What one of several processes makes of a store, in its turn, and whether another has made it meanwhile. */
function sharedWork(
  store: Store<TripleManifest>,
  { work, shards, lead, context }: { work: Work; shards: number[]; lead: number | undefined; context: Context },
): Pick<Parameters<typeof fillTriples>[0], "shards" | "elsewhere" | "isMade"> {
  const { part, others } = work;
  // What is repaired or tried again has a file, and is made all the same.
  if (work.repair || work.retry) return { shards };
  const isMine = shareOf(work, store.shards);
  const helps = part !== undefined && others;
  if (!helps && lead === undefined) return { shards };
  const mine = Array.from({ length: store.shards }, (_, shard) => shard).filter(isMine);
  let there = rowsOf(store, mine) - rowsOf(store, shards);
  const shared = { own: shards, onThere: (rows: number) => void (there += rows) };
  const onWait = tellsOnce(store, context);
  const { signal } = context;
  return {
    shards:
      lead !== undefined
        ? nearReaders(store, { ...shared, lead, ...(helps && { others: { part, isMine } }), onWait, signal })
        : ownThenOthers(store, { ...shared, part: part as string, isMine }),
    elsewhere: () => (helps ? there : store.manifest.entries - rowsOf(store, shards)),
    ...(helps && { isMade: (shard: number) => hasShard(store, shard) }),
  };
}

/** Says for whom simulation waits: once of each reader. */
function tellsOnce({ folder }: Store, { report }: Context): (shard: number, slowest: KnownReader | undefined) => void {
  const told = new Set<string | undefined>();
  return (shard, slowest) => {
    const name = slowest?.name;
    if (told.has(name)) return;
    told.add(name);
    const who = slowest ? `the training ${readerInWords(slowest)}` : "a training that reads it";
    const remedy = name
      ? `; if that will not go on: pipeline verify ${folder} --forget ${name}`
      : "; start one, or leave simulate.lead out to make all of it";
    report({ type: "note", stage: "simulate", message: `shard ${shard} of ${folder} waits for ${who} (simulate.lead)${remedy}` });
  };
}

/** How many shards simulation may be ahead, where there is a limit. The store's readers are asked to register where somebody needs that. */
async function nearness(store: Store<TripleManifest>, asked: Settings["simulate"], work: Work): Promise<number | undefined> {
  const { lead, keep = "all" } = asked;
  if (lead !== undefined || keep === "unread" || (await keepingOf(store))) await askToRegister(store, keep);
  if (lead === undefined || work.repair || work.retry) return undefined;
  if (typeof lead === "number") return lead;
  const [, amount, unit = ""] = /^([\d.]+)([MGT])B$/.exec(lead) ?? [];
  const bytes = Number(amount) * ({ M: 1e6, G: 1e9, T: 1e12 }[unit] as number);
  const { shape, rowsPerShard: count, embedding } = store.manifest;
  return Math.max(1, Math.floor(bytes / projectedBytes({ ...asked, count }, shape, embedding)));
}

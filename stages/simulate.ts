/** Turns planned shards into triples: conditions, the teacher's ODE in a worker, the store. */
import { setImmediate } from "node:timers/promises";
import type { OperatorFunction } from "rxjs";
import type { Compute } from "../engine/compute.ts";
import type { PipelineEvent } from "../schemas/events.ts";
import type { DenoiserDescription } from "../schemas/model.ts";
import type { Settings } from "../schemas/settings.ts";
import type { Draft, TripleManifest } from "../schemas/store.ts";
import type { Sampler } from "./compute/sampler.ts";
import type { Conditions } from "./conditions.ts";
import { stage } from "./flow/mod.ts";
import type { RowCondition, RowConditions } from "./row-conditions.ts";
import type { TripleRow } from "./store/columns.ts";
import { textHash } from "./store/hash.ts";
import type { FailedRow } from "./store/journal.ts";
import { idRange, type Store, writeShard } from "./store/store.ts";
import { noiseOf } from "./store/triples.ts";

/** The identity of the triple store that this teacher gives under these conditions. */
export function tripleManifestOf(options: {
  teacher: DenoiserDescription;
  conditions: RowConditions["identity"];
  settings: Settings;
  version: string;
}): Draft<TripleManifest> {
  const { teacher, conditions, settings, version } = options;
  const { hash, role, statistics, spec } = teacher;
  const { count, rowsPerShard, noise, dtype, solver, steps, guidance, batch } = settings.simulate;
  return {
    shape: spec.shape,
    dtype,
    entries: count,
    rowsPerShard,
    classes: spec.network.condition === "class" ? spec.classes : [],
    seed: String(settings.seed),
    noise,
    teacher: { hash, role, description: textHash(JSON.stringify(teacher)), statistics },
    solver: { name: solver, steps },
    diffusion: spec.diffusion,
    guidance,
    conditions,
    engine: { device: settings.engine.device, version, batch }, // a product's last bits may depend on its rows
  };
}

interface PlannedShard {
  shard: number;
  from: number;
  conditions: RowCondition[];
}

/** Looks up the conditions of each shard; one shard ahead, waiting for the images where they are still coming. */
export function conditionShards({ store, conditions }: {
  store: Store<TripleManifest>;
  conditions: RowConditions;
}): OperatorFunction<number, PlannedShard> {
  return stage({
    name: "conditions",
    capacity: 1,
    work: async (shard, signal): Promise<PlannedShard> => {
      const range = idRange(store.manifest, shard);
      return { shard, from: range.from, conditions: await conditions.of(range, signal) };
    },
  });
}

export interface TripleShard {
  shard: number;
  rows: TripleRow[];
  failed: FailedRow[];
}

/**
 * Solves the teacher's ODE for the rows of one shard at a time, `batch` rows a call; the noise of the next batch is made
 * while the worker is busy. A row whose latent is not finite fails. Holds two shards: one at work, one to be written.
 */
export function simulateShards(options: {
  store: Store<TripleManifest>;
  compute: Compute<Sampler>;
  inputs: Conditions["inputs"];
  batch: number;
  /** Rows done already. */
  done: number;
  report: (event: PipelineEvent) => void;
}): OperatorFunction<PlannedShard, TripleShard> {
  const { store, compute, inputs, batch, report } = options;
  const { shape, seed, entries, noise: kept } = store.manifest;
  const length = shape[0] * shape[1] * shape[2];
  let { done } = options;
  let failures = 0;

  const progress = (): void =>
    report({ type: "progress", stage: "simulate", done, total: entries, unit: "triples", values: { failed: failures } });

  const prepare = async ({ from, conditions }: PlannedShard, start: number) => {
    const part = conditions.slice(start, start + batch);
    const noise = new Float32Array(part.length * length);
    for (let i = 0; i < part.length; i++) {
      noise.set(noiseOf({ seed: BigInt(seed), id: from + start + i }, length), i * length);
      if (((i + 1) * length) % PIECE < length) await setImmediate(); // the control thread has others to serve
    }
    const label = Int32Array.from(part, (row) => row.label ?? -1);
    const caption = part.map((row) => row.caption ?? null);
    return { noise, rows: part.length, ...inputs({ label, caption }) };
  };

  progress();
  return stage({
    name: "simulate",
    capacity: 2,
    concurrency: 1,
    work: async (planned, signal): Promise<TripleShard> => {
      const { shard, from, conditions } = planned;
      const rows: TripleRow[] = [];
      const failed: FailedRow[] = [];
      let next = await prepare(planned, 0);
      for (let start = 0; start < conditions.length; start += batch) {
        signal.throwIfAborted();
        const { noise } = next;
        const [latents, following] = await Promise.all([compute.call("sample", next), prepare(planned, start + batch)]);
        next = following;
        for (let i = 0; i * length < latents.length; i++) {
          const [id, piece] = [from + start + i, [i * length, (i + 1) * length]] as const;
          const latent = latents.subarray(...piece);
          const bad = latent.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
          if (bad > 0) {
            failed.push({ id, reason: `${bad} of the ${length} values of its latent are not finite` });
            failures++;
            continue;
          }
          const stored = kept === "stored" ? { noise: noise.subarray(...piece) } : {};
          rows.push({ id, seed: BigInt(seed), ...conditions[start + i], ...stored, latent });
        }
        done += latents.length / length;
        progress();
      }
      return { shard, rows, failed };
    },
  });
}

/** Noise values made at a stretch: a few milliseconds. */
const PIECE = 2 ** 17;

/** Writes each shard and lets it through. */
export function writeTripleShards(store: Store<TripleManifest>): OperatorFunction<TripleShard, TripleShard> {
  return stage({
    name: "write triples",
    capacity: 1,
    work: async (item): Promise<TripleShard> => {
      await writeShard(store, item);
      return item;
    },
  });
}

/** Turns planned shards into triples: conditions, the teacher's ODE in a worker, the store. */
import { setImmediate } from "node:timers/promises";
import type { OperatorFunction } from "rxjs";
import type { PipelineEvent } from "../../schemas/events.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { type Draft, shardFormatOf, type TripleManifest } from "../../schemas/manifest.ts";
import { type Conditioned, conditionedRows } from "../../models/conditions.ts";
import { labelsOf } from "../../models/denoiser.ts";
import { textShapeOf } from "../../models/families/published.ts";
import type { Solved } from "../../models/diffusion/sampling.ts";
import { solverFor, trajectoryOf } from "../../models/diffusion/plan-schedule.ts";
import { endsWhereNoneIsFinite } from "../encode/finite-rows.ts";
import { stage } from "../flow/mod.ts";
import { teacherIdentity } from "../runs/teacher-of-store.ts";
import type { RowCondition, RowConditions } from "./row-conditions.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { idRange, type Store, writeShard } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { tripleRowsOf } from "./triple-rows.ts";

/** The identity of the triple store that this teacher gives under these conditions. */
export function tripleManifestOf(options: {
  teacher: DenoiserDescription;
  conditions: RowConditions["identity"];
  settings: Settings;
  version: string;
}): Draft<TripleManifest> {
  const { teacher, conditions, settings, version } = options;
  const { spec } = teacher;
  const { count, rowsPerShard, noise, dtype, solver, steps, batch, embeddings } = settings.simulate;
  const { guidance, trueGuidance, guidanceRescale } = settings.simulate;
  const trajectory = trajectoryOf(settings.simulate, spec);
  const embedding = embeddings === "stored" ? textShapeOf(spec) : undefined;
  return {
    shape: spec.shape,
    dtype,
    ...shardFormatOf(settings.store),
    entries: count,
    rowsPerShard,
    classes: labelsOf(spec),
    seed: String(settings.seed),
    noise,
    teacher: teacherIdentity(teacher),
    solver: { name: solverFor(solver, spec.diffusion), steps },
    diffusion: spec.diffusion,
    ...(trajectory && { trajectory }),
    ...(embedding && { embedding }),
    guidance,
    ...(trueGuidance !== undefined && trueGuidance !== 1 && { trueGuidance }),
    ...(guidanceRescale && { guidanceRescale }),
    conditions,
    // The batch counts for the bytes: a product's last bits may depend on how many rows it has.
    engine: { device: settings.engine.device, precision: settings.engine.precision, version, batch },
  };
}

/** Rows and failures that need not be simulated again, by id. */
export interface Kept {
  rows: Map<number, TripleRow>;
  failed: Map<number, FailedRow>;
  /** Rows that are simulated again for their states alone: their latents must come out as they are here. */
  expected?: Map<number, TripleRow>;
}

interface PlannedShard {
  shard: number;
  from: number;
  conditions: RowCondition[];
  kept?: Kept;
}

/**
 * Looks up the conditions of each shard, and what of it is known already; one shard ahead, waiting for the images where
 * they are still coming.
 */
export function conditionShards({
  store,
  conditions,
  keep,
}: {
  store: Store<TripleManifest>;
  conditions: Pick<RowConditions, "of">;
  /** What of a shard need not be simulated. */
  keep?: (shard: number, conditions: RowCondition[]) => Promise<Kept | undefined>;
}): OperatorFunction<number, PlannedShard> {
  return stage({
    name: "conditions",
    capacity: 1,
    work: async (shard, signal): Promise<PlannedShard> => {
      const range = idRange(store.manifest, shard);
      const found = await conditions.of(range, signal);
      return { shard, from: range.from, conditions: found, kept: await keep?.(shard, found) };
    },
  });
}

export interface TripleShard {
  shard: number;
  rows: TripleRow[];
  failed: FailedRow[];
}

/** Solves the teacher's ODE for a batch of noise under its conditions, and keeps the states before the solver steps `keep`. */
export type Sample = (
  batch: { noise: Float32Array; rows: number; keep: readonly number[] } & Conditioned,
) => Promise<Solved & { embeddings?: readonly Float32Array[] | undefined }>;

/**
 * Solves the teacher's ODE for the rows of one shard at a time, `batch` rows a call; the noise of the next batch is made
 * while the worker is busy. Of the rows that are kept a batch of its own is not solved again. A row whose latent or state is not
 * finite fails; where all are so from the first shard on, it throws a Failure, and also where an expected latent comes out
 * otherwise. A shard that another process has made is dropped. Holds one shard more than are at work: one is to be written.
 */
export function simulateShards(options: {
  store: Store<TripleManifest>;
  sample: Sample;
  batch: number;
  /** Shards at work at once; one unless told. */
  atOnce?: number;
  /** Rows that need not be made here: what was there, and what others have made. */
  elsewhere: () => number;
  /** Whether another process has made a shard meanwhile: asked before each, and before each batch of it. */
  isMade?: ((shard: number) => Promise<boolean>) | undefined;
  report: (event: PipelineEvent) => void;
}): OperatorFunction<PlannedShard, TripleShard> {
  const { store, sample, batch, atOnce = 1, elsewhere, isMade, report } = options;
  const { shape, seed, entries } = store.manifest;
  const length = shape[0] * shape[1] * shape[2];
  const keep = store.manifest.trajectory?.steps.filter((step) => step > 0) ?? []; // that before step 0 is the noise
  const row = tripleRowsOf(store);
  let made = 0;
  let failures = 0;
  const check = endsWhereNoneIsFinite({ folder: store.folder, isBegun: elsewhere() > 0, maker: "teacher" });

  const progress = (): void =>
    report({
      type: "progress",
      stage: "simulate",
      done: elsewhere() + made,
      total: entries,
      unit: "triples",
      values: { failed: failures },
    });

  /** The batch that starts at a row of a shard: undefined when all of it is kept, or when the shard ends before. */
  const prepare = async ({ from, conditions, kept }: PlannedShard, start: number) => {
    const part = conditions.slice(start, start + batch);
    if (part.every((_, i) => isKept(kept, from + start + i))) return undefined;
    const noise = new Float32Array(part.length * length);
    for (let i = 0; i < part.length; i++) {
      noise.set(noiseOf({ seed: BigInt(seed), id: from + start + i }, length), i * length);
      if (((i + 1) * length) % PIECE < length) await setImmediate(); // the control thread has others to serve
    }
    return { noise, rows: part.length, keep, ...conditionedRows(part) };
  };

  progress();
  return stage({
    name: "simulate",
    capacity: atOnce + 1,
    concurrency: atOnce,
    work: async (planned, signal): Promise<TripleShard | []> => {
      const { shard, from, conditions, kept } = planned;
      const rows: TripleRow[] = [];
      const failed: FailedRow[] = [];
      const add = (row: TripleRow | FailedRow): void => {
        if ("latent" in row) rows.push(row);
        else failed.push(row);
        failures += "latent" in row ? 0 : 1;
      };
      let next = await prepare(planned, 0);
      for (let start = 0; start < conditions.length; start += batch) {
        signal.throwIfAborted();
        if (await isMade?.(shard)) {
          made += conditions.length - start;
          failures -= failed.length;
          progress();
          return [];
        }
        const current = next;
        const [solved, following] = await Promise.all([current && sample(current), prepare(planned, start + batch)]);
        next = following;
        for (let i = 0; i < Math.min(batch, conditions.length - start); i++) {
          const id = from + start + i;
          const condition = conditions[start + i] as RowCondition;
          const known = kept?.rows.get(id);
          if (known) add(row.rewritten(known, condition));
          else if (kept?.failed.has(id)) add(kept.failed.get(id) as FailedRow);
          else {
            const of = (values: Float32Array): Float32Array => values.subarray(i * length, (i + 1) * length);
            const embedding = solved!.embeddings?.[i];
            const solution = { latent: of(solved!.latents), noise: of(current!.noise), states: solved!.states.map(of), embedding };
            add(row.simulated(id, condition, solution, kept?.expected?.get(id)));
          }
          made++;
        }
        progress();
      }
      check({ shard, good: rows.length, reason: failed[0]?.reason });
      return { shard, rows, failed };
    },
  });
}

function isKept(kept: Kept | undefined, id: number): boolean {
  return kept !== undefined && (kept.rows.has(id) || kept.failed.has(id));
}

/** Noise values made at a stretch: a few milliseconds. */
const PIECE = 2 ** 17;

/** Writes each shard, unless another process has made it meanwhile, and lets it through. */
export function writeTripleShards(
  store: Store<TripleManifest>,
  isMade?: (shard: number) => Promise<boolean>,
): OperatorFunction<TripleShard, TripleShard> {
  return stage({
    name: "write triples",
    capacity: 1,
    work: async (item): Promise<TripleShard> => {
      if (!(await isMade?.(item.shard))) await writeShard(store, item);
      return item;
    },
  });
}

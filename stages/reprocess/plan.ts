/** What of a triple store a store of other settings may take over, row by row, and what must be simulated for it. */
import { differingKeys, type TripleManifest } from "../../schemas/manifest.ts";
import { batchOf } from "../simulate/fill-triples.ts";
import { idRange, type Store } from "../../store/shards/store.ts";

/** What rows do not depend on. All else that differs means that every row is simulated again. */
const HARMLESS = ["entries", "rowsPerShard", "shardFormat", "noise", "dtype", "conditions", "format", "version", "kind", "engine.batch"];

/** Of the conditions what latents depend on though: rows do not tell it. */
const GUIDING = ["conditions.text", "conditions.negative"];

/** What latents do not depend on, but the states beside them: which are kept. The version that computes must give the same bits. */
const BESIDE = ["trajectory", "engine.version"];

export interface TriplePlan {
  /** Keys that differ between the two stores. */
  changed: string[];
  /** Why no row can be taken over; empty when rows can. */
  obstacles: string[];
  /** Whether a row's latent may be taken over, if it is there and its condition is the same. */
  fits: (id: number) => boolean;
  /** Whether a row is simulated for states alone that the old store lacks: its latent must come out as it is there. */
  expects: (id: number) => boolean;
  /** Rows to simulate, before conditions are compared. */
  simulated: number;
}

/**
 * Plans a store `to` made from a store `from`. A row is taken over where its last bits would be the same: same teacher,
 * solver, guidance, seed and engine, a latent stored at least as exactly, the same place in a batch of the same size, and no
 * state that the old store lacks: fewer are a choice of its columns.
 */
export function planTriples(options: {
  from: Store<TripleManifest>;
  present: Set<number>;
  to: TripleManifest;
  batch: { from: number; to: number };
}): TriplePlan {
  const { from, present, to } = options;
  const changed = differingKeys(from.manifest, to).map(({ key }) => key);
  const batches = { from: batchOf(from.manifest, options.batch.from), to: batchOf(to, options.batch.to) };
  const isOf = (key: string, group: string): boolean => key === group || key.startsWith(`${group}.`);
  const harmless = [...HARMLESS, "trajectory", ...(to.embedding ? [] : ["embedding"])]; // columns that are dropped
  const obstacles = changed.filter((key) => GUIDING.includes(key) || !harmless.some((group) => isOf(key, group)));
  const known = new Set([0, ...(from.manifest.trajectory?.steps ?? [])]); // the state before step 0 is the noise
  if (to.trajectory?.steps.some((step) => !known.has(step))) obstacles.push("trajectory");
  if (from.manifest.dtype === "float16" && to.dtype === "float32") obstacles.push("dtype");
  if (batches.from !== batches.to) obstacles.push("simulate.batch");
  const place = (id: number, { rowsPerShard }: TripleManifest) => (id % rowsPerShard) % batches.to;
  const isAlike = (id: number): boolean =>
    id < from.manifest.entries && present.has(Math.floor(id / from.manifest.rowsPerShard)) && place(id, from.manifest) === place(id, to);
  const fits = (id: number): boolean => obstacles.length === 0 && isAlike(id);
  const others = obstacles.filter((key) => !BESIDE.includes(key));
  const expects = (id: number): boolean => obstacles.includes("trajectory") && others.length === 0 && isAlike(id);

  let simulated = 0;
  for (let shard = 0; shard * to.rowsPerShard < to.entries; shard++) {
    const range = idRange(to, shard);
    for (let start = range.from; start < range.to; start += batches.to) {
      const end = Math.min(start + batches.to, range.to);
      let all = true;
      for (let id = start; id < end; id++) all &&= fits(id);
      if (!all) simulated += end - start;
    }
  }
  return { changed, obstacles, fits, expects, simulated };
}

/** The real rows that a training's samples are compared with. */
import type { ConditionedRow } from "../../models/conditions.ts";
import type { Context } from "../../schemas/events.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { permutation } from "../../schemas/numbers/philox.ts";
import { normalise } from "../../store/records/statistics.ts";
import { readShard, type Store } from "../../store/shards/store.ts";
import { readTriples } from "../../store/rows/triples.ts";
import { untilThere } from "../runs/vigil.ts";

/** A real latent as the teacher takes it, with its condition. */
export interface WatchedRow extends ConditionedRow {
  latent: Float32Array;
}

/** Real latents to compare with, at most: the reference's features are made anew whenever a training starts. */
const REFERENCE_ROWS = 4096;

/** Rows at least: a single one has no spread. */
export const COMPARABLE = 2;

/** Whether a store has rows enough to be compared with; a warning says where it has not. */
export function isComparable({ folder, manifest }: Store, { report }: Context): boolean {
  if (manifest.entries >= COMPARABLE) return true;
  const message = `the online distance is not measured: ${folder} has one row, and its spread is what samples are compared with`;
  report({ type: "warning", stage: "train", message });
  return false;
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

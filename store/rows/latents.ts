/** The latent store: encoded images with their names, labels and captions. */
import type { Draft, LatentManifest } from "../../schemas/manifest.ts";
import { ahead } from "./ahead.ts";
import { type BatchOptions, rowBatches } from "./batches.ts";
import type { LatentRow } from "../format/columns.ts";
import { normalise, type Statistics } from "../records/statistics.ts";
import { createStore, openStoreOf, readShard, type Store } from "../shards/store.ts";

export interface LatentBatch {
  step: number;
  /** [batch, height, width, channels], flat. */
  latent: Float32Array;
  /** [batch]; -1 where there is none. */
  label: Int32Array;
  caption: (string | null)[];
  rows: LatentRow[];
}

/**
 * Creates a latent store or goes on with it; throws a Failure when another one stands in the folder.
 *
 * @example
 * import { createLatentStore, missingShards } from "onestep/store";
 * const store = await createLatentStore({ folder, manifest: latents.manifest });
 * assert.deepEqual(await missingShards(store), [0, 1, 2, 3, 4, 5, 6]);
 */
export function createLatentStore(options: {
  folder: string;
  manifest: Draft<LatentManifest>;
  /** Write a damaged store.json anew. */
  repair?: boolean;
}): Promise<Store<LatentManifest>> {
  const { manifest, ...rest } = options;
  return createStore<LatentManifest>({ ...rest, manifest: { ...manifest, kind: "latents" } });
}

/**
 * Opens a latent store; throws a Failure when the folder holds none.
 *
 * @example
 * import { openLatentStore } from "onestep/store";
 * assert.equal((await openLatentStore({ folder: latents.folder })).manifest.entries, 50);
 * await assert.rejects(openLatentStore({ folder: triples.folder }), /it is a store of triples/);
 */
export function openLatentStore(options: { folder: string }): Promise<Store<LatentManifest>> {
  return openStoreOf<LatentManifest>({ ...options, kind: "latents", maker: "ingest" });
}

/**
 * All rows of the store in order, one shard in memory at a time.
 *
 * @example
 * import { readLatents } from "onestep/store";
 * let rows = 0;
 * for await (const { latent } of readLatents(latents)) rows += latent.length / (4 * 3 * 2);
 * assert.equal(rows, 50);
 */
export async function* readLatents(store: Store<LatentManifest>): AsyncGenerator<LatentRow> {
  for (let shard = 0; shard < store.shards; shard++) yield* await readShard(store, shard);
}

type LatentOptions = BatchOptions & { scale?: { statistics: Statistics; sigmaData: number } };

/**
 * Batches in training order, each made while the one before is at work; normalised to `scale.sigmaData` by
 * `scale.statistics` where given, else raw.
 *
 * @example
 * import { latentBatches } from "onestep/store";
 * const order = { seed: 1, batch: 4, window: 2, firstShards: Infinity, stepsPerShard: 1 };
 * for await (const { latent, label } of latentBatches(latents, { ...order, toStep: 2 })) {
 *   assert.deepEqual([latent.length, label.length], [4 * (4 * 3 * 2), 4]);
 * }
 */
export function latentBatches(store: Store<LatentManifest>, options: LatentOptions): AsyncGenerator<LatentBatch> {
  return ahead((signal) => batchesOf(store, { ...options, signal }), options.signal);
}

async function* batchesOf(store: Store<LatentManifest>, options: LatentOptions): AsyncGenerator<LatentBatch> {
  const { scale } = options;
  for await (const { step, rows } of rowBatches(store, options)) {
    const latent = stacked(rows.map((row) => row.latent));
    yield {
      step,
      latent: scale ? normalise(latent, scale.statistics, scale.sigmaData) : latent,
      label: Int32Array.from(rows, (row) => row.label ?? -1),
      caption: rows.map((row) => row.caption ?? null),
      rows,
    };
  }
}

/**
 * Tensors of one length, one after the other.
 *
 * @example
 * import { stacked } from "./latents.ts";
 * assert.deepEqual(stacked([Float32Array.of(1, 2), Float32Array.of(3, 4)]), Float32Array.of(1, 2, 3, 4));
 */
export function stacked(tensors: Float32Array[]): Float32Array {
  const length = tensors[0]?.length ?? 0;
  const out = new Float32Array(tensors.length * length);
  for (const [i, tensor] of tensors.entries()) out.set(tensor, i * length);
  return out;
}

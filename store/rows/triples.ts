/** The triple store: (noise, latent, condition), what the teacher makes of each noise. */
import { normals } from "../../schemas/numbers/philox.ts";
import type { Draft, TripleManifest } from "../../schemas/manifest.ts";
import { ahead } from "./ahead.ts";
import { type BatchOptions, rowBatches } from "./batches.ts";
import { stateColumn, type TripleRow } from "../format/columns.ts";
import { stacked } from "./latents.ts";
import { createStore, openStoreOf, readShard, type Store } from "../shards/store.ts";

export interface TripleBatch {
  step: number;
  /** [batch, height, width, channels], flat: unit normal, bitwise the same whether stored or derived. */
  noise: Float32Array;
  /** Same shape: the teacher's output. */
  latent: Float32Array;
  /** Where they are asked for, each of the same shape: the teacher's states at `manifest.trajectory`, noisiest first. */
  states?: Float32Array[];
  /** [batch]; -1 where there is none. */
  label: Int32Array;
  caption: (string | null)[];
  /** Of captions, where the store keeps them. */
  embedding?: Float32Array[];
  rows: TripleRow[];
}

/**
 * Creates a triple store or goes on with it; throws a Failure when another one stands in the folder.
 *
 * @example
 * import { createTripleStore } from "onestep/store";
 * const store = await createTripleStore({ folder, manifest: triples.manifest });
 * assert.equal(store.fingerprint, triples.fingerprint);
 */
export function createTripleStore(options: {
  folder: string;
  manifest: Draft<TripleManifest>;
  /** Write a damaged store.json anew. */
  repair?: boolean;
}): Promise<Store<TripleManifest>> {
  const { manifest, ...rest } = options;
  return createStore<TripleManifest>({ ...rest, manifest: { ...manifest, kind: "triples" } });
}

/**
 * Opens a triple store; throws a Failure when the folder holds none.
 *
 * @example
 * import { openTripleStore } from "onestep/store";
 * assert.equal((await openTripleStore({ folder: triples.folder })).manifest.solver.steps, 18);
 */
export function openTripleStore(options: { folder: string }): Promise<Store<TripleManifest>> {
  return openStoreOf<TripleManifest>({ ...options, kind: "triples", maker: "simulate" });
}

/**
 * The noise of a row, [length] unit normals: its own stretch of its seed's stream.
 *
 * @example
 * import { normals } from "../../schemas/numbers/philox.ts";
 * import { noiseOf } from "onestep/store";
 * assert.deepEqual(noiseOf({ seed: 1, id: 3 }, 4), normals({ seed: 1, stream: "noise", offset: 12, length: 4 }));
 */
export function noiseOf(row: { seed: number | bigint; id: number }, length: number): Float32Array {
  return normals({ seed: row.seed, stream: "noise", offset: row.id * length, length });
}

/**
 * The teacher's states of a row at `manifest.trajectory`, noisiest first: any two are a pair on one way. That before step 0 is
 * the noise times its sigma; the others are columns of the store. None of a store without a trajectory.
 *
 * @example
 * import { statesOf } from "onestep/store";
 * const manifest = { trajectory: { steps: [0, 9], sigmas: [80, 2.5] } };
 * const row = { id: 0, seed: 1, noise: Float32Array.of(1, -1), state9: Float32Array.of(3, -2), latent: Float32Array.of(0.5, 0.25) };
 * assert.deepEqual(statesOf(manifest, row), [Float32Array.of(80, -80), Float32Array.of(3, -2)]);
 */
export function statesOf({ trajectory }: Pick<TripleManifest, "trajectory">, row: TripleRow): Float32Array[] {
  const { steps = [], sigmas = [] } = trajectory ?? {};
  return steps.map((step, i) => {
    if (step > 0) return row[stateColumn(step)] as Float32Array;
    return (row.noise ?? noiseOf(row, row.latent.length)).map((value) => value * (sigmas[i] as number));
  });
}

/**
 * The rows of a shard with their noise, stored or derived.
 *
 * @example
 * import { noiseOf, readTriples } from "onestep/store";
 * const [first] = await readTriples(triples, 0);
 * assert.deepEqual(first?.noise, noiseOf(first!, 4 * 3 * 2));
 */
export async function readTriples(store: Store<TripleManifest>, shard: number): Promise<(TripleRow & { noise: Float32Array })[]> {
  const rows = await readShard(store, shard);
  return rows.map((row) => ({ ...row, noise: row.noise ?? noiseOf(row, row.latent.length) }));
}

/**
 * Batches in training order, each made while the one before is at work; with `states` where the store keeps a trajectory.
 *
 * @example
 * import { tripleBatches } from "onestep/store";
 * const order = { seed: 1, batch: 4, window: 2, firstShards: Infinity, stepsPerShard: 1 };
 * for await (const { noise, latent } of tripleBatches(triples, { ...order, toStep: 2 })) {
 *   assert.deepEqual([noise.length, latent.length], [4 * (4 * 3 * 2), 4 * (4 * 3 * 2)]);
 * }
 */
export function tripleBatches(store: Store<TripleManifest>, options: BatchOptions): AsyncGenerator<TripleBatch> {
  return ahead((signal) => batchesOf(store, { ...options, signal }), options.signal);
}

async function* batchesOf(store: Store<TripleManifest>, options: BatchOptions): AsyncGenerator<TripleBatch> {
  const { trajectory, embedding } = store.manifest;
  for await (const { step, rows } of rowBatches(store, options)) {
    const states = options.states && trajectory ? rows.map((row) => statesOf(store.manifest, row)) : [];
    yield {
      step,
      ...(states.length > 0 && { states: trajectory!.steps.map((_, i) => stacked(states.map((of) => of[i] as Float32Array))) }),
      noise: stacked(rows.map((row) => row.noise ?? noiseOf(row, row.latent.length))),
      latent: stacked(rows.map((row) => row.latent)),
      label: Int32Array.from(rows, (row) => row.label ?? -1),
      caption: rows.map((row) => row.caption ?? null),
      ...(embedding && { embedding: rows.map((row) => row.embedding as Float32Array) }),
      rows,
    };
  }
}

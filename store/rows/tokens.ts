/** The token store: images as whole numbers, by an image tokenizer, with their names, labels and captions. */
import type { Draft, TokenManifest } from "../../schemas/manifest.ts";
import { ahead } from "./ahead.ts";
import { type BatchOptions, rowBatches } from "./batches.ts";
import type { TokenRow } from "../format/columns.ts";
import { createStore, openStoreOf, type Store } from "../shards/store.ts";

export interface TokenBatch {
  step: number;
  /** [batch, height, width], flat. */
  tokens: Int32Array;
  /** [batch]; -1 where there is none. */
  label: Int32Array;
  caption: (string | null)[];
  rows: TokenRow[];
}

/**
 * Creates a token store or goes on with it; throws a Failure when another one stands in the folder.
 *
 * @example
 * import { createTokenStore, readShard, writeShard } from "onestep/store";
 * const { entries, rowsPerShard, classes, engine, imageSize, encoder, source } = latents.manifest;
 * const image = { entries, rowsPerShard, classes, engine, imageSize, encoder, source };
 * const manifest = { ...image, shape: [1, 2, 1], dtype: "int16", tokenizer: { hash: "t0", codes: 9 } };
 * const store = await createTokenStore({ folder, manifest });
 * const rows = [48, 49].map((index) => ({ index, name: `${index}.png`, tokens: Int16Array.of(index % 9, 8) }));
 * await writeShard(store, { shard: 6, rows });
 * assert.deepEqual((await readShard(store, 6))[1]?.tokens, Int16Array.of(4, 8));
 */
export function createTokenStore(options: {
  folder: string;
  manifest: Draft<TokenManifest>;
  /** Write a damaged store.json anew. */
  repair?: boolean;
}): Promise<Store<TokenManifest>> {
  const { manifest, ...rest } = options;
  return createStore<TokenManifest>({ ...rest, manifest: { ...manifest, kind: "tokens" } });
}

/**
 * Opens a token store; throws a Failure when the folder holds none.
 *
 * @example
 * import { openTokenStore } from "onestep/store";
 * await assert.rejects(openTokenStore({ folder: latents.folder }), /it is a store of latents/);
 */
export function openTokenStore(options: { folder: string }): Promise<Store<TokenManifest>> {
  return openStoreOf<TokenManifest>({ ...options, kind: "tokens", maker: "tokenize" });
}

/**
 * Batches in training order, each made while the one before is at work.
 *
 * @example
 * import { createTokenStore, tokenBatches, writeShard } from "onestep/store";
 * const { classes, engine, imageSize, encoder, source } = latents.manifest;
 * const image = { entries: 4, rowsPerShard: 4, classes, engine, imageSize, encoder, source };
 * const manifest = { ...image, shape: [1, 2, 1], dtype: "int16", tokenizer: { hash: "t0", codes: 9 } };
 * const store = await createTokenStore({ folder, manifest });
 * const rows = [0, 1, 2, 3].map((index) => ({ index, name: `${index}.png`, tokens: Int16Array.of(index, 8) }));
 * await writeShard(store, { shard: 0, rows });
 * const order = { seed: 1, batch: 2, window: 1, firstShards: Infinity, stepsPerShard: 1 };
 * for await (const { tokens } of tokenBatches(store, { ...order, toStep: 2 })) assert.equal(tokens.length, 2 * 2);
 */
export function tokenBatches(store: Store<TokenManifest>, options: BatchOptions): AsyncGenerator<TokenBatch> {
  return ahead((signal) => batchesOf(store, { ...options, signal }), options.signal);
}

async function* batchesOf(store: Store<TokenManifest>, options: BatchOptions): AsyncGenerator<TokenBatch> {
  const { shape } = store.manifest;
  const length = shape[0] * shape[1];
  for await (const { step, rows } of rowBatches(store, options)) {
    const tokens = new Int32Array(rows.length * length);
    for (const [i, row] of rows.entries()) tokens.set(row.tokens, i * length);
    const label = Int32Array.from(rows, (row) => row.label ?? -1);
    yield { step, tokens, label, caption: rows.map((row) => row.caption ?? null), rows };
  }
}

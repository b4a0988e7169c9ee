/**
 * `import { ... } from "onestep/store"`: stores of latents, triples and tokens, written whole shard by whole shard and read row by row, in
 * training order, or as Arrow record batches. The format is specified in schemas/README.md.
 */
export type { Draft, LatentManifest, Manifest, TokenManifest, TripleManifest } from "../schemas/manifest.ts";
export type { BatchOptions } from "../store/rows/batches.ts";
export type { LatentRow, TokenRow, TripleRow } from "../store/format/columns.ts";
export type { FailedRow } from "../store/records/journal.ts";
export { createLatentStore, type LatentBatch, latentBatches, openLatentStore, readLatents } from "../store/rows/latents.ts";
export { type OpenStore, openStore } from "../store/rows/open.ts";
export { type RecordBatchOptions, recordBatches } from "../store/rows/record-batches.ts";
export {
  idRange,
  missingShards,
  presentShards,
  readFailures,
  readRows,
  readShard,
  type RowOf,
  type Store,
  writeShard,
} from "../store/shards/store.ts";
export { readSummary, sealStore, type Summary } from "../store/shards/summary.ts";
export { createTokenStore, openTokenStore, type TokenBatch, tokenBatches } from "../store/rows/tokens.ts";
export {
  createTripleStore,
  noiseOf,
  openTripleStore,
  readTriples,
  statesOf,
  type TripleBatch,
  tripleBatches,
} from "../store/rows/triples.ts";
export { verifyStore } from "../store/making/verify.ts";

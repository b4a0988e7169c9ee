/**
 * `import { ... } from "onestep/store"`: stores of latents, triples and tokens, written whole shard by whole shard and read row by row, in
 * training order, or as Arrow record batches. The format is specified in schemas/README.md.
 */
export type { Draft, LatentManifest, Manifest, TokenManifest, TripleManifest } from "../schemas/manifest.ts";
export type { BatchOptions } from "../store/batches.ts";
export type { LatentRow, TokenRow, TripleRow } from "../store/columns.ts";
export type { FailedRow } from "../store/journal.ts";
export { createLatentStore, type LatentBatch, latentBatches, openLatentStore, readLatents } from "../store/latents.ts";
export { type OpenStore, openStore } from "../store/open.ts";
export { type RecordBatchOptions, recordBatches } from "../store/record-batches.ts";
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
} from "../store/store.ts";
export { readSummary, sealStore, type Summary } from "../store/summary.ts";
export { createTokenStore, openTokenStore, type TokenBatch, tokenBatches } from "../store/tokens.ts";
export { createTripleStore, noiseOf, openTripleStore, readTriples, statesOf, type TripleBatch, tripleBatches } from "../store/triples.ts";
export { verifyStore } from "../store/verify.ts";

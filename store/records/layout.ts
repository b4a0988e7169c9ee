/** Where things stand in a store, and what is known of it while it is open. */
import type { Manifest } from "../../schemas/manifest.ts";
import type { LatentRow, TokenRow, TripleRow } from "../format/columns.ts";
import { extensionOf } from "../format/formats.ts";
import type { Journal } from "./journal.ts";
import { within } from "../places/place.ts";
import type { Column } from "../format/stored-rows.ts";

export interface Store<M extends Manifest = Manifest> {
  folder: string;
  manifest: M;
  /** sha256 of the manifest as store.json has it: what the rows are a function of. */
  fingerprint: string;
  columns: Column[];
  /** How many shards the finished store has. */
  shards: number;
  /** What the journal said when last read. */
  journal: Journal;
  /** Shards whose whole file was found sound by this process. */
  sound: Set<number>;
  /** Shards that are made again though they are there: these alone may be replaced. */
  remade: Set<number>;
}

export type RowOf<M extends Manifest> = M["kind"] extends "latents" ? LatentRow : M["kind"] extends "tokens" ? TokenRow : TripleRow;

/**
 * The ids of a shard: from (inclusive) to (exclusive).
 *
 * @example
 * import { idRange } from "onestep/store";
 * assert.deepEqual(idRange(latents.manifest, 6), { from: 48, to: 50 });
 */
export function idRange(manifest: Manifest, shard: number): { from: number; to: number } {
  const from = shard * manifest.rowsPerShard;
  return { from, to: Math.min(from + manifest.rowsPerShard, manifest.entries) };
}

/**
 * How many ids these shards have together.
 *
 * @example
 * import { rowsOf } from "./layout.ts";
 * assert.equal(rowsOf(latents, [0, 6]), 10);
 */
export function rowsOf({ manifest }: Pick<Store, "manifest">, shards: readonly number[]): number {
  return shards.map((shard) => idRange(manifest, shard)).reduce((sum, { from, to }) => sum + to - from, 0);
}

/**
 * The path of a shard: STORE/shards/000042.parquet, or .arrow.
 *
 * @example
 * import { shardPath } from "../shards/store.ts";
 * assert.ok(shardPath(latents, 42).endsWith("000042.parquet"));
 */
export function shardPath(store: Store, shard: number): string {
  return within(store.folder, "shards", shardName(store, shard));
}

/**
 * The name of a shard's file.
 *
 * @example
 * import { shardName } from "../shards/store.ts";
 * assert.equal(shardName(latents, 42), "000042.parquet");
 */
export function shardName({ manifest }: Pick<Store, "manifest">, shard: number): string {
  return `${shardDigits(shard)}.${extensionOf(manifest)}`;
}

/**
 * The number of a shard as the names of files have it, so that their order as text is that of their numbers.
 *
 * @example
 * import { shardDigits } from "./layout.ts";
 * assert.equal(shardDigits(42), "000042");
 */
export function shardDigits(shard: number): string {
  return String(shard).padStart(6, "0");
}

/** The journal of a sealed store, a line a shard: STORE/journal.jsonl. */
export function journalPath({ folder }: Pick<Store, "folder">): string {
  return within(folder, "journal.jsonl");
}

/** The journal's lines until the store is sealed, a file each: several machines cannot append to one. */
export function entriesPath({ folder }: Pick<Store, "folder">): string {
  return within(folder, "journal");
}

/** Of a shard that was removed once all had read it: what it said of itself, removed/000042.json. */
export function removedPath({ folder }: Pick<Store, "folder">, shard: number): string {
  return within(folder, "removed", `${shardDigits(shard)}.json`);
}

/** The failed rows of a shard, for people: STORE/quarantine/000042.jsonl. */
export function quarantinePath(store: Store, shard: number): string {
  return within(store.folder, "quarantine", quarantineName(shard));
}

/** The name of that file. */
export function quarantineName(shard: number): string {
  return `${shardDigits(shard)}.jsonl`;
}

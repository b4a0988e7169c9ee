import { readFile } from "node:fs/promises";
import { Failure } from "../schemas/failure.ts";
import type { Manifest } from "../schemas/manifest.ts";
import { sha256 } from "./hash.ts";
import { type FailedRow, readJournal } from "./journal.ts";
import { idRange, journalPath, type RowOf, shardPath, type Store } from "./layout.ts";
import { memoryBuffer, openBuffer } from "./buffers.ts";
import { type DecodedShard, decodeShard, readShardMetadata } from "./shard.ts";
import type { Row } from "./stored-rows.ts";
import { shardBytes } from "./write.ts";

/**
 * All rows of a shard, checked: its sha256 on the first read of this process, the rows' checksums on every read. Throws
 * a Failure that names the shard and its damaged rows, or that it is missing.
 *
 * @example
 * import { readShard } from "onestep/store/store";
 * const rows = await readShard(latents, 6);
 * assert.deepEqual(rows.map(({ index }) => index), [48, 49]);
 */
export async function readShard<M extends Manifest>(store: Store<M>, shard: number): Promise<RowOf<M>[]> {
  const { rows, problem } = await examineShard(store, shard);
  if (problem) throw damage(store, shard, problem);
  return rows as RowOf<M>[];
}

/** The bytes of a shard, checked like its rows. */
export async function readRawShard(store: Store, shard: number): Promise<Uint8Array> {
  const { bytes, problem } = await examineShard(store, shard);
  if (problem) throw damage(store, shard, problem);
  return bytes;
}

/**
 * The failed rows of a shard, read from its end alone: not checked.
 *
 * @example
 * import { readFailures } from "onestep/store/store";
 * assert.deepEqual(await readFailures(latents, 0), []);
 */
export async function readFailures(store: Store, shard: number): Promise<FailedRow[]> {
  const { failed = "[]" } = await readShardMetadata(shardPath(store, shard));
  return JSON.parse(failed);
}

/**
 * Rows of a shard by position, without reading the rest: for looking, not for training. Checks these rows alone.
 *
 * @example
 * import { readRows } from "onestep/store/store";
 * const [row] = await readRows(latents, { shard: 1, from: 2, to: 3 });
 * assert.equal(row?.index, 10);
 */
export async function readRows<M extends Manifest>(
  store: Store<M>,
  options: { shard: number; from: number; to: number },
): Promise<RowOf<M>[]> {
  const { shard, from, to } = options;
  const file = await openBuffer(shardPath(store, shard)).catch((error) => {
    throw missing(store, shard, error);
  });
  try {
    const decoded = await decodeShard({ columns: store.columns, file, from, to }).catch((error: Error) => {
      throw damage(store, shard, `it is not a readable Parquet file (${error.message})`);
    });
    const problem = rowProblem(store, decoded, from);
    if (problem) throw damage(store, shard, problem);
    return decoded.rows as RowOf<M>[];
  } finally {
    await file.close();
  }
}

/**
 * Reads and checks a shard; `problem` says what is wrong with it. Throws only when the file is missing.
 *
 * @example
 * import { examineShard } from "onestep/store/read";
 * const { rows, problem } = await examineShard(latents, 0);
 * assert.deepEqual([rows.length, problem], [8, undefined]);
 */
export async function examineShard(store: Store, shard: number): Promise<{ rows: Row[]; bytes: Uint8Array; problem?: string }> {
  const bytes = await readFile(shardPath(store, shard)).catch((error) => {
    throw missing(store, shard, error);
  });
  const broken = (problem: string) => ({ rows: [], bytes, problem });
  const recorded = store.sound.has(shard) || (await isRecorded(store, shard, bytes));
  const decoded = await decodeShard({ columns: store.columns, file: memoryBuffer(bytes) }).catch((error: Error) => error);
  const unreadable = decoded instanceof Error ? `it is not a readable Parquet file (${decoded.message})` : undefined;
  const rows = decoded instanceof Error ? undefined : rowProblem(store, decoded);
  if (recorded === false) {
    return broken(`its sha256 is not the one in journal.jsonl, ${unreadable ?? rows ?? "though its rows are sound"}`);
  }
  if (decoded instanceof Error || rows) return broken(unreadable ?? rows ?? "");
  if (!store.sound.has(shard)) {
    const { metadata } = decoded;
    if (metadata.fingerprint !== store.fingerprint) return broken("it belongs to another store");
    if (metadata.shard !== String(shard)) return broken(`it is shard ${metadata.shard} under another name`);
    if (!recorded && !(await isCanonical(store, shard, bytes, decoded))) return broken("its bytes are not what its rows give");
    store.sound.add(shard);
  }
  return { rows: decoded.rows, bytes };
}

/** Whether the journal has the hash of these bytes; undefined when it has no line for the shard. */
async function isRecorded(store: Store, shard: number, bytes: Uint8Array): Promise<boolean | undefined> {
  const hash = await sha256(bytes);
  const matches = () => store.journal.get(shard)?.some((entry) => entry.sha256 === hash);
  if (matches()) return true;
  store.journal = (await readJournal(journalPath(store))).entries; // the shard may be newer than the last reading
  return matches();
}

/** Whether a file is bit by bit what its rows and failures give: the check of a shard whose journal line was lost. */
async function isCanonical(store: Store, shard: number, bytes: Uint8Array, { rows, metadata }: DecodedShard): Promise<boolean> {
  try {
    return Buffer.from(await shardBytes(store, shard, rows, JSON.parse(metadata.failed ?? ""))).equals(bytes);
  } catch {
    return false; // the failures are no JSON any more
  }
}

/** Which rows do not match their checksum, if any; `offset` is the position of the first row in its shard. */
function rowProblem(store: Store, { rows, damaged }: DecodedShard, offset = 0): string | undefined {
  const [first, last] = [damaged[0], damaged.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const id = rows[first]?.[store.columns[0]!.name];
  const one = first === last;
  const range = one ? `row ${first + offset} (id ${id}) does` : `rows ${first + offset} to ${last + offset} do`;
  return `${range} not match the stored checksum`;
}

function damage(store: Store, shard: number, problem: string): Failure {
  return new Failure(
    `Cannot use shard ${shard} (${idsInWords(store, shard)}) of ${store.folder}: ${problem}. ` +
      "Repeat the command that made the store with --repair: it remakes this shard alone.",
  );
}

/** The ids of a shard, for messages: "rows 24 to 31". */
export function idsInWords(store: Store, shard: number): string {
  const { from, to } = idRange(store.manifest, shard);
  return `rows ${from} to ${to - 1}`;
}

function missing(store: Store, shard: number, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") return error;
  return new Failure(
    `Cannot read shard ${shard} (${idsInWords(store, shard)}) of ${store.folder}: it is not there. ` +
      "Repeat the command that made the store: it makes what is missing.",
  );
}

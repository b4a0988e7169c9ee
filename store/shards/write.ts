import { existsSync } from "node:fs";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import { Failure } from "../../schemas/failure.ts";
import { type Manifest, storeVersion } from "../../schemas/manifest.ts";
import { filesAt } from "../places/files.ts";
import { tensorOf } from "../format/columns.ts";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { sha256 } from "../places/hash.ts";
import { putEntry } from "../records/entries.ts";
import { formatOf } from "../format/formats.ts";
import type { FailedRow, JournalEntry } from "../records/journal.ts";
import { idRange, type RowOf, shardPath, type Store } from "../records/layout.ts";
import { isUrl, within } from "../places/place.ts";
import { writeQuarantine } from "../records/quarantine.ts";
import { withShard } from "./shard-file.ts";
import { encodeShard, recycle } from "../format/shard.ts";
import type { Row } from "../format/stored-rows.ts";
import { sumsOf } from "../records/statistics.ts";

/**
 * Writes a whole shard: one row or one reason for every id of its range, in ascending order. The shard appears
 * complete or not at all, and one that is there stays, unless it is in `store.remade`; what failed also goes to
 * quarantine/000042.jsonl. Answers its journal entry. Throws when an id
 * is neither or twice there.
 *
 * @example
 * import { createLatentStore, readShard, writeShard } from "onestep/store";
 * const copy = await createLatentStore({ folder, manifest: latents.manifest });
 * const { rows } = await writeShard(copy, { shard: 6, rows: await readShard(latents, 6) });
 * assert.equal(rows, 2);
 */
export async function writeShard<M extends Manifest>(
  store: Store<M>,
  options: { shard: number; rows: RowOf<M>[]; failed?: FailedRow[] },
): Promise<JournalEntry> {
  const { shard, failed = [] } = options;
  const rows: Row[] = options.rows;
  checkIds(store, shard, rows, failed);
  const isGone = (): boolean => !isUrl(store.folder) && !existsSync(within(store.folder, "store.json"));
  const gone = (cause?: unknown): Failure =>
    new Failure(`Cannot write shard ${shard} of ${store.folder}: the folder was removed. Run the same command again.`, { cause });
  if (isGone()) throw gone();
  const bytes = await shardBytes(store, shard, rows, failed);
  const entry = await copyShard(store, { shard, bytes, failed }).catch((error) => {
    throw isGone() ? gone(error) : error; // it may be removed at any time
  });
  recycle(bytes);
  return entry;
}

/** Puts the bytes of a whole shard in its place, with its journal line and quarantine. */
export async function copyShard(
  store: Store,
  { shard, bytes, failed }: { shard: number; bytes: Uint8Array; failed: FailedRow[] },
): Promise<JournalEntry> {
  const { from, to } = idRange(store.manifest, shard);
  const rows = to - from - failed.length;
  const entry = { shard, rows, bytes: bytes.length, sha256: await sha256(bytes), failed };
  store.sound.delete(shard);
  await putShard(store, entry, bytes);
  return entry;
}

/**
 * Puts a shard in its place: its journal line, its quarantine, then the shard, so that whoever is killed leaves no shard without the
 * others. Where another has put one that differs, made on an unlike device, that stays, and the quarantine is made its own again.
 */
async function putShard(store: Store, entry: JournalEntry, bytes: Uint8Array): Promise<void> {
  const { shard, failed } = entry;
  const files = filesAt(store.folder);
  const isRemade = store.remade.delete(shard);
  await putEntry(store, entry);
  if (failed.length > 0 || isRemade) await writeQuarantine(store, { shard, failed });
  const path = shardPath(store, shard);
  if (isRemade) await files.replace(path, bytes);
  else if ((await files.create(path, bytes, entry.sha256)) === "other" && failed.length > 0) {
    await writeQuarantine(store, { shard, failed: await failuresOf(store, shard) });
  }
}

const failuresOf = (store: Store, shard: number): Promise<FailedRow[]> => withShard(store, shard, async ({ metadata }) => metadata.failed);

/** The bytes of a shard: a pure function of the store's manifest, the rows and the failures. */
export async function shardBytes(store: Store, shard: number, rows: Row[], failed: FailedRow[]): Promise<Uint8Array> {
  return encodeShard({
    columns: store.columns,
    format: formatOf(store.manifest),
    rows,
    metadata: await shardMetadata(store, shard, rows, failed),
  });
}

function checkIds(store: Store, shard: number, rows: Row[], failed: FailedRow[]): void {
  const { from, to } = idRange(store.manifest, shard);
  if (!(shard >= 0 && shard < store.shards)) {
    throw new RangeError(`Cannot write shard ${shard} of ${store.folder}: it has shards 0 to ${store.shards - 1}`);
  }
  const key = store.columns[0]!.name;
  const ids = rows.map((row) => row[key] as number);
  const ascending = ids.every((id, i) => i === 0 || id > ids[i - 1]!);
  const all = new Set([...ids, ...failed.map(({ id }) => id)]);
  const inRange = [...all].every((id) => Number.isInteger(id) && id >= from && id < to);
  if (!ascending || !inRange || all.size !== to - from || ids.length + failed.length !== to - from) {
    throw new RangeError(
      `Cannot write shard ${shard} of ${store.folder}: expected each id from ${from} to ${to - 1} once, as a row or as a failure, rows ` +
        `ascending; got ${ids.length} rows and ${failed.length} failures`,
    );
  }
}

async function shardMetadata(store: Store, shard: number, rows: Row[], failed: FailedRow[]): Promise<Record<string, string>> {
  const { kind, shape, dtype } = store.manifest;
  const { from, to } = idRange(store.manifest, shard);
  const round = (values: Float32Array) => (dtype === "float16" ? fromHalf(toHalf(values)) : values);
  const sums = await sumsOf(rows as RowOf<Manifest>[], shape, (row) => round(tensorOf(row)));
  const metadata = {
    format: "onestep",
    version: String(storeVersion),
    kind,
    fingerprint: store.fingerprint,
    shard: String(shard),
    ids: JSON.stringify([from, to]),
    shape: JSON.stringify(shape),
    dtype,
    byteOrder: "little-endian",
    failed: JSON.stringify(failed),
    sums: JSON.stringify(sums),
  };
  return { ...metadata, crc32: String(crc32(Buffer.from(JSON.stringify(metadata)))) };
}

/** The file of one shard: opened, its end believed only as far as the format promises, and what may be wrong with it in words. */
import type { AsyncBuffer } from "hyparquet";
import { Failure } from "../../schemas/failure.ts";
import { openBuffer } from "../places/buffers.ts";
import { filesAt } from "../places/files.ts";
import { formatOf } from "../format/formats.ts";
import type { FailedRow } from "../records/journal.ts";
import { idRange, removedPath, shardPath, type Store } from "../records/layout.ts";
import type { DecodedRows } from "../format/shard.ts";
import type { RowGroup } from "../format/shard-format.ts";
import { parseShardMetadata, type ShardMetadata } from "./shard-metadata.ts";
import type { Row } from "../format/stored-rows.ts";

type ShardFile = Awaited<ReturnType<typeof openBuffer>>;

/** What the end of a shard's file says, checked. Throws an Error in words. */
export async function headOf(store: Store, shard: number, file: AsyncBuffer): Promise<{ groups: RowGroup[]; metadata: ShardMetadata }> {
  const { pairs, groups } = await formatOf(store.manifest).readEnd(file);
  const metadata = parseShardMetadata(store, shard, pairs);
  return { groups: groups({ columns: store.columns, rows: metadata.rows }), metadata };
}

async function openFile(store: Store, shard: number): Promise<ShardFile> {
  return openBuffer(shardPath(store, shard)).catch(async (error) => {
    throw (error as NodeJS.ErrnoException).code === "ENOENT" ? await missingShard(store, shard) : error;
  });
}

/** Does something with the open file of a shard. Throws a Failure when it is missing. */
export async function withFile<T>(store: Store, shard: number, work: (file: ShardFile) => Promise<T>): Promise<T> {
  const file = await openFile(store, shard);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

export interface OpenShard {
  file: ShardFile;
  groups: RowGroup[];
  metadata: ShardMetadata;
}

/** Opens a shard and checks its end; close `file` after use. Throws a Failure when it is missing or damaged. */
export async function openShard(store: Store, shard: number): Promise<OpenShard> {
  const file = await openFile(store, shard);
  try {
    return { file, ...(await headOf(store, shard, file)) };
  } catch (error) {
    await file.close();
    throw damage(store, shard, problemOf(error));
  }
}

/** Does something with a shard whose end was checked; any Error that tells of damage becomes a Failure that names the shard. */
export async function withShard<T>(store: Store, shard: number, work: (shard: OpenShard) => Promise<T>): Promise<T> {
  const opened = await openShard(store, shard);
  try {
    return await work(opened);
  } catch (error) {
    throw damage(store, shard, problemOf(error));
  } finally {
    await opened.file.close();
  }
}

/** What an error says of a file; rethrows what is none of the file's: a Failure, or an error of the system. */
export function problemOf(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  if (error instanceof Failure || errno !== undefined) throw error;
  return message;
}

/** Which rows do not match their checksum, if any; `offset` is the position of the first row in its shard. */
export function rowProblem(store: Store, { rows, damaged }: DecodedRows, offset = 0): string | undefined {
  const [first, last] = [damaged[0], damaged.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const id = rows[first]?.[store.columns[0]!.name];
  const one = first === last;
  const range = one ? `row ${first + offset} (id ${id}) does` : `rows ${first + offset} to ${last + offset} do`;
  return `${range} not match the stored checksum`;
}

/** Which row has not the id that its place gives it, if any: the ids of a shard's range less the failed ones, ascending. */
export function idProblem(
  { manifest, columns }: Store,
  { shard, failed, rows, from }: { shard: number; failed: FailedRow[]; rows: Row[]; from: number },
): string | undefined {
  const without = new Set(failed.map(({ id }) => id));
  const key = columns[0]!.name;
  let { from: id } = idRange(manifest, shard);
  for (let position = 0; position < from + rows.length; position++, id++) {
    while (without.has(id)) id++;
    const found = rows[position - from]?.[key];
    if (position >= from && found !== id) return `its row ${position} has the id ${found}, expected ${id}`;
  }
  return undefined;
}

/** The Failure that names a damaged shard and its remedy; its cause says the problem alone. */
export function damage(store: Store, shard: number, problem: string): Failure {
  return new Failure(
    `Cannot use shard ${shard} (${idsInWords(store, shard)}) of ${store.folder}: ${problem}. ` +
      "Repeat the command that made the store with --repair: it remakes this shard alone.",
    { cause: new Error(problem) },
  );
}

/** The ids of a shard, for messages: "rows 24 to 31". */
export function idsInWords(store: Store, shard: number): string {
  const { from, to } = idRange(store.manifest, shard);
  return `rows ${from} to ${to - 1}`;
}

/** The Failure that says that a shard is not there, or that it was removed. */
export async function missingShard(store: Store, shard: number): Promise<Failure> {
  const path = removedPath(store, shard);
  const isRemoved = (await filesAt(path).size(path)) !== undefined;
  const reason = isRemoved
    ? "it was removed once the trainings of then had read it (simulate.keep). Make the store again elsewhere, and start all trainings " +
      "before the first of them reads on."
    : "it is not there. Repeat the command that made the store: it makes what is missing.";
  return new Failure(`Cannot read shard ${shard} (${idsInWords(store, shard)}) of ${store.folder}: ${reason}`);
}

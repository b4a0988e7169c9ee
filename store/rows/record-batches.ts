/** A store's rows as Arrow record batches whose tensors are views of the bytes of the shard, as they were read. */
import type { RecordBatch } from "apache-arrow";
import { type Field, fieldsOf, lengthOf, noiseField, type TensorField } from "../../schemas/columns.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import { type FieldValues, recordBatch } from "../format/arrow.ts";
import { type BatchOptions, rowBatches } from "./batches.ts";
import { memoryBuffer, readStretch } from "../places/buffers.ts";
import { inOrder } from "../places/in-order.ts";
import type { Store } from "../records/layout.ts";
import { readShard } from "../shards/read.ts";
import { valuesOfRows } from "./row-values.ts";
import { damage, idProblem, type OpenShard, openShard, problemOf, rowProblem } from "../shards/shard-file.ts";
import type { RowGroup } from "../format/shard-format.ts";
import { CHECKSUM, checksumOf, type Stored, tensorBytes } from "../format/stored-rows.ts";
import { noiseOf } from "./triples.ts";

export interface RecordBatchOptions {
  /** Columns by name, in this order; all that are stored unless told. Of triples "noise" may be asked for also where it is derived. */
  columns?: readonly string[];
  /** The most rows of a batch. Unless told a batch is a row group of the shard, some 4 MB. */
  rows?: number;
  /** Shards by number, in this order; all unless told. */
  shards?: Iterable<number>;
  /** The order of trainings instead: batches of `order.batch` rows, which are copies, waiting for shards that are not there yet. */
  order?: BatchOptions;
  signal?: AbortSignal;
}

/**
 * Record batches of the rows in the order of their ids, the next few row groups of a shard being read meanwhile. Of a tensor the batch
 * holds a view of the bytes that were read wherever these lie aligned, which of the widest column they are made to; numbers and texts
 * that may be null, and columns that are not aligned, are copies. Throws a Failure where a shard is missing or damaged, before a row of
 * its group is given: its hash is checked on the first read of this process, rows by their checksums on each.
 *
 * @example
 * import { recordBatches } from "onestep/store";
 * let rows = 0;
 * for await (const batch of recordBatches(latents, { columns: ["index", "latent"] })) rows += batch.numRows;
 * assert.equal(rows, 50);
 */
export async function* recordBatches(store: Store, options: RecordBatchOptions = {}): AsyncGenerator<RecordBatch> {
  const { rows: most = Number.POSITIVE_INFINITY, shards = Array.from({ length: store.shards }, (_, i) => i), signal } = options;
  if (!(most >= 1)) throw new Failure(`Cannot read batches of ${most} rows of ${store.folder}: expected a number from 1 on.`);
  const fields = wantedFields(store, options.columns);
  if (options.order) return yield* inTrainingOrder(store, fields, { ...(signal && { signal }), ...options.order });
  for (const shard of shards) {
    signal?.throwIfAborted();
    if (!store.sound.has(shard)) await readShard(store, shard);
    yield* shardBatches(store, { shard, fields, most, signal });
  }
}

interface Wanted {
  shard: number;
  fields: readonly Field[];
  /** Rows of a batch. */
  most: number;
  signal: AbortSignal | undefined;
}

/** Groups of rows that are read at once: so many are in memory, with one that is being looked through. */
const AT_ONCE = 4;

/** The batches of one shard. */
async function* shardBatches(store: Store, { shard, fields, most, signal }: Wanted): AsyncGenerator<RecordBatch> {
  const opened = await openShard(store, shard);
  const refuse = (error: unknown): never => {
    throw damage(store, shard, problemOf(error));
  };
  const read = async (i: number): Promise<{ group: RowGroup; bytes: Uint8Array }> => {
    const group = opened.groups[i] as RowGroup;
    return { group, bytes: await readStretch(opened.file, group.bytes) };
  };
  try {
    for await (const { group, bytes } of inOrder(opened.groups.length, (i) => read(i).catch(refuse), signal, AT_ONCE)) {
      const batch = await groupBatch(store, { ...opened, shard, group, bytes, fields }).catch(refuse);
      if (batch.numRows <= most) yield batch;
      else for (let from = 0; from < batch.numRows; from += most) yield batch.slice(from, from + most);
    }
  } finally {
    await opened.file.close();
  }
}

/** A batch for each step of a training that draws from the store by `order`. */
async function* inTrainingOrder(store: Store, fields: readonly Field[], order: BatchOptions): AsyncGenerator<RecordBatch> {
  const states = fields.some(({ name }) => name.startsWith("state"));
  for await (const { rows } of rowBatches(store, { ...order, states })) {
    yield recordBatch(
      fields.map((field) => ({ field, values: valuesOfRows(field, rows) })),
      rows.length,
    );
  }
}

/** The fields that are asked for. Throws a Failure that suggests the nearest where there is none of a name. */
function wantedFields({ folder, manifest }: Store, names?: readonly string[]): Field[] {
  const stored = fieldsOf(manifest);
  const derived = manifest.kind === "triples" && manifest.noise === "derived" ? [noiseField(manifest)] : [];
  if (names === undefined) return stored;
  return names.map((wanted) => {
    const found = [...stored, ...derived].find(({ name }) => name === wanted);
    if (found) return found;
    const all = [...stored, ...derived].map(({ name }) => name);
    throw new Failure(`Cannot read the column "${wanted}" of ${folder}: ${didYouMean(wanted, all, `it has ${all.join(", ")}`)}`);
  });
}

/** The rows of a row group as a batch. Throws an Error in words where they are damaged. */
async function groupBatch(
  store: Store,
  { metadata, shard, group, bytes, fields }: OpenShard & Pick<Wanted, "shard" | "fields"> & { group: RowGroup; bytes: Uint8Array },
): Promise<RecordBatch> {
  const { start: from, rows } = group;
  const { columns } = store;
  const window = memoryBuffer(bytes, group.bytes.from);
  const names = [...columns.map(({ name }) => name), CHECKSUM];
  const { rows: stored, places } = await group.read({ file: window, columns: names, from: 0, to: rows });
  const tensors = new Map<string, Uint8Array>();
  for (const column of columns) {
    const at = places.get(column.name);
    if (column.type === "tensor" && at !== undefined) tensors.set(column.name, window.view(at, at + rows * tensorBytes(column)));
  }
  for (const [i, row] of stored.entries()) {
    for (const [name, values] of tensors) row[name] = values.subarray((i * values.length) / rows, ((i + 1) * values.length) / rows);
  }
  const damaged = stored.flatMap((row, i) => (checksumOf(columns, row) === row[CHECKSUM] ? [] : [i]));
  const key = columns[0]!.name;
  const ids = stored.map((row) => ({ [key]: Number(row[key]) }));
  const problem = rowProblem(store, { rows: ids, damaged }, from) ?? idProblem(store, { shard, failed: metadata.failed, rows: ids, from });
  if (problem) throw new Error(problem);
  const parts = fields.map((field) => ({ field, values: fieldValues(field, { stored, tensors, manifest: store.manifest }) }));
  return recordBatch(parts, rows);
}

/** The values of a field, of tensors as a view where they lie aligned. */
function fieldValues(
  field: Field,
  { stored, tensors, manifest }: { stored: readonly Stored[]; tensors: ReadonlyMap<string, Uint8Array>; manifest: Manifest },
): FieldValues {
  const { name } = field;
  switch (field.type) {
    case "Int64":
      return BigInt64Array.from(stored, (row) => row[name] as bigint);
    case "Uint64":
      return BigUint64Array.from(stored, (row) => BigInt.asUintN(64, row[name] as bigint));
    case "Int32":
      return stored.map((row) => (row[name] ?? null) as number | null);
    case "Utf8":
      return stored.map((row) => (row[name] ?? null) as string | null);
    case "FixedSizeList": {
      const bytes = tensors.get(name);
      return bytes ? viewOf(bytes, field) : derivedNoise(stored, lengthOf({ shape: manifest.shape }));
    }
  }
}

const arrays = { Float32: Float32Array, Float16: Uint16Array, Int16: Int16Array };

function viewOf(bytes: Uint8Array, { of }: TensorField): Float32Array | Uint16Array | Int16Array {
  const { BYTES_PER_ELEMENT: width } = arrays[of];
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  return new arrays[of](buffer as ArrayBuffer, byteOffset, byteLength / width);
}

function derivedNoise(stored: readonly Stored[], length: number): Float32Array {
  const noise = new Float32Array(stored.length * length);
  for (const [i, { seed, id }] of stored.entries()) {
    noise.set(noiseOf({ seed: BigInt.asUintN(64, seed as bigint), id: Number(id) }, length), i * length);
  }
  return noise;
}

/** Times the store, in both formats of its shards, against bare hyparquet(-writer) doing the same job without checks, in the same run. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, open, readFile, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { normals } from "../../schemas/numbers/philox.ts";
import { diffusionSettings } from "../../schemas/settings.ts";
import type { Draft, TripleManifest } from "../../schemas/manifest.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { stacked } from "../../store/rows/latents.ts";
import { blocksOf, rowOrder } from "../../store/rows/order.ts";
import { memoryBuffer } from "../../store/places/buffers.ts";
import { type Store, writeShard } from "../../store/shards/store.ts";
import { createTripleStore } from "../../store/rows/triples.ts";

/** One side's figures, in megabytes of tensors a second: the median of the rounds and the fastest. */
export interface Rate {
  median: number;
  fastest: number;
}

/** The store with Parquet shards, with Arrow ones, and bare hyparquet. */
export interface Sides {
  store: Rate;
  arrow: Rate;
  bare: Rate;
}

export interface Comparison {
  write: Sides;
  /** Every byte's sha256 checked, as on the first reading of a shard. */
  firstRead: Sides;
  /** As in all later epochs: the rows' checksums only. */
  read: Sides;
  folder: string;
  megabytes: number;
}

const SHAPE: [number, number, number] = [64, 64, 4]; // 16,384 values
const LENGTH = 64 * 64 * 4;
const ORDER = { seed: 1, batch: 64, window: 4, firstShards: Infinity, stepsPerShard: 1 };

/**
 * Writes and reads `shards` shards of `rows` rows of 16,384 floats in `rounds` rounds, the store's way and the bare way
 * in turn, in a temporary folder in memory where the system has one (a disk would hide the software). Bare is: Parquet of
 * the same columns, less the checksum, to a file; and the same shuffled batches from such files.
 */
export async function timeStoreAndBare(
  options: { shards?: number; rows?: number; rounds?: number; folder?: string; signal?: AbortSignal } = {},
): Promise<Comparison> {
  const { shards = 8, rows = 256, rounds = 5, signal } = options;
  const folder = await mkdtemp(join(options.folder ?? (await memoryFolder(4 * shards * rows * LENGTH * 4)), "onestep-bench-"));
  try {
    const values = normals({ seed: 1, stream: "bench", length: rows * LENGTH });
    const rowsOf = (shard: number): TripleRow[] =>
      Array.from({ length: rows }, (_, i) => {
        const latent = values.subarray(i * LENGTH, (i + 1) * LENGTH);
        return { id: shard * rows + i, seed: 5n, imageIndex: i, label: i % 10, caption: `caption ${i}`, latent };
      });
    const megabytes = (shards * rows * LENGTH * 4) / 1e6;
    const manifest = manifestOf(shards, rows);
    const store = await createTripleStore({ folder: join(folder, "store"), manifest });
    const arrow = await createTripleStore({ folder: join(folder, "arrow"), manifest: { ...manifest, shardFormat: "arrow" } });
    await mkdir(join(folder, "bare"));
    const steps = Math.floor((shards * rows) / ORDER.batch);

    const jobs = {
      "write/bare": () => each(shards, (shard) => writeBare(bareOf(folder, shard), rowsOf(shard))),
      "write/store": () => each(shards, (shard) => writeShard(store, { shard, rows: rowsOf(shard) })),
      "write/arrow": () => each(shards, (shard) => writeShard(arrow, { shard, rows: rowsOf(shard) })),
      "read/bare": () => touch(bareBatches({ folder, shards, rows, steps })),
      "firstRead/store": () => touch(anew(store, steps)),
      "firstRead/arrow": () => touch(anew(arrow, steps)),
      "read/store": () => touch(storeBatches(store, steps)),
      "read/arrow": () => touch(storeBatches(arrow, steps)),
    };
    const seconds = new Map(Object.keys(jobs).map((name) => [name, [] as number[]]));
    let expected: string | undefined;
    for (let round = -1; round < rounds; round++) {
      // the first warms up
      for (const [name, job] of Object.entries(jobs)) {
        signal?.throwIfAborted();
        const started = performance.now();
        const seen = await job();
        if (round >= 0) seconds.get(name)?.push((performance.now() - started) / 1000);
        if (!seen) continue;
        expected ??= seen;
        if (seen !== expected) throw new Error(`${name} gave other batches than bare hyparquet`);
      }
    }
    const rate = (name: string): Rate => {
      const sorted = [...(seconds.get(name) as number[])].sort((a, b) => a - b);
      return { median: megabytes / (sorted[sorted.length >> 1] as number), fastest: megabytes / (sorted[0] as number) };
    };
    const sides = (job: string, bare = job): Sides => ({
      store: rate(`${job}/store`),
      arrow: rate(`${job}/arrow`),
      bare: rate(`${bare}/bare`),
    });
    return {
      write: sides("write"),
      firstRead: sides("firstRead", "read"),
      read: sides("read"),
      folder,
      megabytes,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A folder in memory with room for `bytes`, or one on the disk. */
async function memoryFolder(bytes: number): Promise<string> {
  const found = await statfs("/dev/shm").catch(() => undefined);
  return found && found.bavail * found.bsize > bytes ? "/dev/shm" : tmpdir();
}

async function each(shards: number, work: (shard: number) => Promise<unknown>): Promise<undefined> {
  for (let shard = 0; shard < shards; shard++) await work(shard);
}

/** Reads all batches, looks at one value of each row, and answers a digest of what it saw. */
async function touch(batches: AsyncIterable<Float32Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const batch of batches) {
    hash.update(Float32Array.from({ length: batch.length / LENGTH }, (_, row) => batch[row * LENGTH + 7] as number));
  }
  return hash.digest("hex");
}

function anew(store: Store<TripleManifest>, toStep: number): AsyncGenerator<Float32Array> {
  store.sound.clear();
  return storeBatches(store, toStep);
}

async function* storeBatches(store: Store<TripleManifest>, toStep: number): AsyncGenerator<Float32Array> {
  for await (const { rows } of rowBatches(store, { ...ORDER, toStep })) yield stacked(rows.map(({ latent }) => latent));
}

/** The same batches as plainly as hyparquet gives them. */
async function* bareBatches({
  folder,
  shards,
  rows,
  steps,
}: {
  folder: string;
  shards: number;
  rows: number;
  steps: number;
}): AsyncGenerator<Float32Array> {
  const blockAt = blocksOf({ ...ORDER, shards, rowsPerShard: rows });
  let end = 0;
  let latents: Float32Array[] = [];
  for (let step = 0; step < steps; step++) {
    const batch: Float32Array[] = [];
    for (let position = step * ORDER.batch; batch.length < ORDER.batch; position++) {
      const block = blockAt(position);
      if (position >= end) {
        const read: Float32Array[] = [];
        for (const shard of block.shards) {
          const file = memoryBuffer(await readFile(bareOf(folder, shard)));
          for (const row of await parquetReadObjects({ file })) {
            const bytes = row.latent as Uint8Array;
            read.push(new Float32Array(new Uint8Array(bytes).buffer)); // a copy: the blob is not aligned
          }
        }
        latents = Array.from(rowOrder(ORDER.seed, block, read.length), (row) => read[row] as Float32Array);
        end = block.start + block.length;
      }
      batch.push(latents[position - block.start] as Float32Array);
    }
    yield stacked(batch);
  }
}

async function writeBare(path: string, rows: TripleRow[]): Promise<void> {
  const writer = new ByteWriter();
  const text = { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" } as const;
  parquetWrite({
    writer,
    schema: [
      { name: "bare", num_children: 6 },
      { name: "id", type: "INT64", repetition_type: "REQUIRED" },
      { name: "seed", type: "INT64", converted_type: "UINT_64", repetition_type: "REQUIRED" },
      { name: "imageIndex", type: "INT32", repetition_type: "OPTIONAL" },
      { name: "label", type: "INT32", repetition_type: "OPTIONAL" },
      { name: "caption", ...text },
      { name: "latent", type: "FIXED_LEN_BYTE_ARRAY", type_length: LENGTH * 4, repetition_type: "REQUIRED" },
    ],
    columnData: [
      { name: "id", data: rows.map(({ id }) => BigInt(id)), encoding: "PLAIN" },
      { name: "seed", data: rows.map(({ seed }) => BigInt(seed)), encoding: "PLAIN" },
      { name: "imageIndex", data: rows.map(({ imageIndex }) => imageIndex), encoding: "PLAIN" },
      { name: "label", data: rows.map(({ label }) => label), encoding: "PLAIN" },
      { name: "caption", data: rows.map(({ caption }) => caption), encoding: "PLAIN" },
      {
        name: "latent",
        data: rows.map(({ latent }) => new Uint8Array(latent.buffer, latent.byteOffset, latent.byteLength)),
        encoding: "PLAIN",
        statistics: false,
      },
    ],
    codec: "UNCOMPRESSED",
    statistics: false,
    rowGroupSize: 64, // 4 MB
  });
  const file = await open(path, "w");
  await file.writeFile(writer.getBytes());
  await file.close();
}

function bareOf(folder: string, shard: number): string {
  return join(folder, "bare", `${shard}.parquet`);
}

function manifestOf(shards: number, rows: number): Draft<TripleManifest> {
  return {
    shape: SHAPE,
    dtype: "float32",
    entries: shards * rows,
    rowsPerShard: rows,
    classes: [],
    seed: "5",
    noise: "derived",
    teacher: { hash: "bench" },
    solver: { name: "heun", steps: 18 },
    guidance: 1,
    diffusion: diffusionSettings.parse({}),
    conditions: { source: "bench" },
    engine: { device: "cpu", version: "bench" },
  };
}

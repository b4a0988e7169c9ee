/** Times writing and reading a triple store in a temporary folder. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { normals } from "../../engine/philox.ts";
import { diffusionSettings } from "../../schemas/settings.ts";
import type { Draft, TripleManifest } from "../../schemas/store.ts";
import type { TripleRow } from "../store/columns.ts";
import { readShard, shardPath, writeShard } from "../store/store.ts";
import { createTripleStore } from "../store/triples.ts";
import { repeat, summary } from "./time.ts";

/** Written in turn, so that the disk needs room for no more than these. */
const SHARDS = 64;

export interface StoreTiming {
  what: "write" | "read";
  megabytesPerSecond: number;
  rowsPerSecond: number;
}

/**
 * Writes shards of `rows` triples of 16 x 16 x 4 float32 (2 MB for 512) as simulation does, checksums, journal and fsync
 * included, and reads them as training does, without the noise, which is computed. They lie in `folder`, which decides
 * the disk, and are removed afterwards. Reading follows writing: the files are in the system's cache.
 */
export async function timeStore(options: {
  folder: string;
  rows?: number;
  seconds: number;
  signal: AbortSignal;
}): Promise<StoreTiming[]> {
  const { rows = 512, seconds, signal } = options;
  const folder = await mkdtemp(join(options.folder, ".onestep-bench-"));
  try {
    const length = 16 * 16 * 4;
    const latents = normals({ seed: 1, stream: "latents", length: rows * length });
    const store = await createTripleStore({ folder, manifest: manifestOf(rows) });
    const rowsOf = (shard: number): TripleRow[] =>
      Array.from({ length: rows }, (_, row) => {
        const latent = latents.subarray(row * length, (row + 1) * length);
        return { id: shard * rows + row, seed: 0n, imageIndex: row, label: row % 10, caption: null, latent };
      });
    const write = (run: number) => writeShard(store, { shard: run % SHARDS, rows: rowsOf(run % SHARDS) });
    const writing = await repeat({ work: write, seconds, least: 3, signal });
    const written = Math.min(SHARDS - 1, writing.length);
    const read = (run: number) => readShard(store, 1 + (run % written));
    const reading = await repeat({ work: read, seconds, least: 3, signal });
    const { size } = await stat(shardPath(store, 1));
    const rates = (what: "write" | "read", times: number[]): StoreTiming => {
      const { median } = summary(times);
      return { what, megabytesPerSecond: size / 1e3 / median, rowsPerSecond: (1000 * rows) / median };
    };
    return [rates("write", writing), rates("read", reading)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function manifestOf(rows: number): Draft<TripleManifest> {
  return {
    ...{ shape: [16, 16, 4], dtype: "float32", entries: rows * SHARDS, rowsPerShard: rows, classes: [], seed: "0", noise: "derived" },
    ...{ teacher: { hash: "bench" }, solver: { name: "heun", steps: 18 }, guidance: 1, diffusion: diffusionSettings.parse({}) },
    ...{ conditions: { source: "bench" }, engine: { device: "cpu", version: "bench" } },
  };
}

/**
 * Prints how fast a store is read as Arrow record batches, beside its rows, in turns; every checksum is checked on either side.
 *   taskset -c 0 node --import tsx test/bench/record-batches.ts --out docs/results/record-batches.json
 * ROUNDS (5) of each, over SHARDS (8) of 256 latents [64, 64, 4].
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normals } from "../../schemas/numbers/philox.ts";
import { createLatentStore, readLatents } from "../../store/rows/latents.ts";
import { recordBatches } from "../../store/rows/record-batches.ts";
import { writeShard } from "../../store/shards/store.ts";
import { latentManifest } from "../store/fixture.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({ ROUNDS: "5", SHARDS: "8" });
const [rowsPerShard, length] = [256, 64 * 64 * 4];
const shards = Number(settings.SHARDS);
const folder = mkdtempSync(join(tmpdir(), "onestep-bench-"));
try {
  const manifest = latentManifest({ shape: [64, 64, 4], entries: shards * rowsPerShard, rowsPerShard });
  const store = await createLatentStore({ folder, manifest });
  const values = normals({ seed: 1, stream: "bench", length: rowsPerShard * length });
  for (let shard = 0; shard < shards; shard++) {
    const rows = Array.from({ length: rowsPerShard }, (_, i) => {
      const index = shard * rowsPerShard + i;
      return { index, name: `${index}.png`, label: i % 10, latent: values.subarray(i * length, (i + 1) * length) };
    });
    await writeShard(store, { shard, rows });
  }
  const sides = {
    rows: async () => {
      for await (const { latent } of readLatents(store)) if (latent.length !== length) throw new Error("a row is short");
    },
    "record batches": async () => {
      for await (const batch of recordBatches(store)) if (batch.numCols !== 5) throw new Error("a column is missing");
    },
  };
  await sides.rows(); // hashes are checked on the first read
  const seconds: Record<string, number[]> = { rows: [], "record batches": [] };
  for (let round = 0; round < Number(settings.ROUNDS); round++) {
    for (const [name, read] of Object.entries(sides)) {
      const start = performance.now();
      await read();
      seconds[name]!.push((performance.now() - start) / 1000);
    }
  }
  const megabytes = (shards * rowsPerShard * length * 4) / 1e6;
  for (const [name, taken] of Object.entries(seconds)) {
    const median = taken.sort((a, b) => a - b)[taken.length >> 1]!;
    console.log(`${name.padEnd(16)} ${(megabytes / median).toFixed(0)} MB/s, median of ${taken.length}`);
    record({ read: name, "MB/s": rounded(megabytes / median, 3) });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

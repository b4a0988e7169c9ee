/** The store at the job of loaders.py: see there. Every sha256 and row checksum is verified. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normals } from "../../../schemas/numbers/philox.ts";
import { createLatentStore, latentBatches, openLatentStore } from "../../../store/rows/latents.ts";
import { writeShard } from "../../../store/shards/store.ts";
import { sealStore } from "../../../store/shards/summary.ts";
import { latentManifest } from "../../store/fixture.ts";

const rows = Number(process.env.ROWS ?? 50_000);
const length = Number(process.env.LENGTH ?? 1024);
const [batch, rowsPerShard] = [64, 512];
const far = Math.floor((rows * 9) / 10 / batch);
const folder = mkdtempSync(join(process.env.FOLDER ?? tmpdir(), "onestep-loaders-"));
try {
  const manifest = latentManifest({ shape: [length, 1, 1], entries: rows, rowsPerShard });
  const store = await createLatentStore({ folder, manifest });
  const values = normals({ seed: 1, stream: "bench", length: rowsPerShard * length });
  for (let shard = 0; shard < store.shards; shard++) {
    const count = Math.min(rowsPerShard, rows - shard * rowsPerShard);
    await writeShard(store, {
      shard,
      rows: Array.from({ length: count }, (_, i) => {
        const index = shard * rowsPerShard + i;
        return { index, name: "", label: index % 10, latent: values.subarray(i * length, (i + 1) * length) };
      }),
    });
  }
  await sealStore(store);
  const toStep = Math.floor(rows / batch);
  const order = { seed: 1, batch, window: 4, firstShards: Infinity, stepsPerShard: 1, toStep };
  const open = async (fromStep: number) => latentBatches(await openLatentStore({ folder }), { ...order, fromStep });
  const first = async (fromStep: number): Promise<number> => {
    const started = performance.now();
    const batches = await open(fromStep);
    await batches.next();
    const seconds = (performance.now() - started) / 1000;
    await batches.return(undefined);
    return seconds;
  };
  await first(0);
  const [start, resumed] = [await first(0), await first(far)];
  const started = performance.now();
  for await (const _ of await open(0));
  const rate = (1000 * toStep * batch) / (performance.now() - started);
  const [soon, later] = [start, resumed].map((seconds) => `${seconds.toFixed(3).padStart(6)} s`);
  const figures = `${rate.toFixed(0).padStart(7)} rows/s   first batch ${soon}   at row ${far * batch}: ${later}`;
  console.log(`${"onestep".padEnd(24)} ${figures}   exact; every sha256 and row checksum is verified`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

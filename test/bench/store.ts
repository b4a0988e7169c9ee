/**
 * Prints the store's speed, with Parquet and with Arrow shards, against bare hyparquet(-writer), and memory while a large store is
 * written and read.
 *   taskset -c 0 node --import tsx test/bench/store.ts                 one core, 16,384-float tensors
 *   SIZE=20e9 FOLDER=/data node --import tsx test/bench/store.ts memory   bytes to write and read; 1e9 unless told
 * ROUNDS (5) of the comparison; `--out FILE.json` for either.
 */
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { normals } from "../../schemas/numbers/philox.ts";
import { bytesInWords, durationInWords } from "../../schemas/words.ts";
import { type Sides, timeStoreAndBare } from "../../stages/bench/store-speed.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import { writeShard } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { createTripleStore, openTripleStore } from "../../store/rows/triples.ts";
import { tripleManifest } from "../store/fixture.ts";
import { openBench, rounded } from "./record.ts";

const { settings, words, record } = openBench({ ROUNDS: "5", SIZE: "1e9", FOLDER: tmpdir() });

if (words[0] === "memory") await memory();
else await speed();

async function speed(): Promise<void> {
  const figures = await timeStoreAndBare({ rounds: Number(settings.ROUNDS) });
  console.log(`${figures.megabytes.toFixed(0)} MB of 16,384-float tensors in ${figures.folder}; MB/s, median (fastest)`);
  const line = (name: string, { store, arrow, bare }: Sides, target: string) => {
    const side = ({ median, fastest }: typeof store) => `${median.toFixed(0)} (${fastest.toFixed(0)})`.padEnd(14);
    const ratio = store.median / bare.median;
    console.log(`${name.padEnd(24)} store ${side(store)} Arrow ${side(arrow)} bare ${side(bare)} ratio ${ratio.toFixed(2)}  ${target}`);
    const speed = ({ median }: typeof store) => rounded(median, 3);
    const speeds = { "store, MB/s": speed(store), "of Arrow shards, MB/s": speed(arrow), "bare, MB/s": speed(bare) };
    record({ job: name, ...speeds, ratio: rounded(ratio, 3) });
  };
  line("write", figures.write, "target 0.8");
  line("read, every sha256", figures.firstRead, "");
  line("read shuffled batches", figures.read, "target 0.7");
}

async function memory(): Promise<void> {
  const total = Number(settings.SIZE);
  const parent = settings.FOLDER;
  const { bavail, bsize } = statfsSync(parent);
  if (bavail * bsize < 1.1 * total)
    throw new Error(`${parent} has ${bytesInWords(bavail * bsize)} free, ${bytesInWords(1.1 * total)} are needed`);
  const folder = mkdtempSync(join(parent, "onestep-bench-"));
  try {
    const [length, rowsPerShard] = [64 * 64 * 4, 256];
    const shards = Math.max(8, Math.round(total / (rowsPerShard * length * 4)));
    const manifest = tripleManifest({ shape: [64, 64, 4], entries: shards * rowsPerShard, rowsPerShard });
    const store = await createTripleStore({ folder, manifest });
    const values = normals({ seed: 1, stream: "bench", length: rowsPerShard * length });
    const marks: string[] = [];
    const mark = (what: string, done: number, all: number) => {
      if (done % Math.ceil(all / 8) !== 0 && done !== all) return;
      const resident = process.memoryUsage.rss();
      marks.push(`${what} ${done}/${all}: ${bytesInWords(resident)}`);
      record({ job: what, "share done": rounded(done / all, 3), "resident, MB": rounded(resident / 1e6, 4) });
    };
    let started = performance.now();
    const took = (what: string) => {
      const seconds = (performance.now() - started) / 1000;
      console.log(`${what}: ${durationInWords(seconds)}, ${(total / 1e6 / seconds).toFixed(0)} MB/s`);
      started = performance.now();
    };
    for (let shard = 0; shard < shards; shard++) {
      const rows = Array.from({ length: rowsPerShard }, (_, i) => {
        const id = shard * rowsPerShard + i;
        return { id, seed: 0n, label: i % 10, latent: values.subarray(i * length, (i + 1) * length) };
      });
      await writeShard(store, { shard, rows });
      mark("written", shard + 1, shards);
    }
    await sealStore(store);
    took("written and sealed");
    const steps = Math.floor((shards * rowsPerShard) / 64);
    const reader = await openTripleStore({ folder });
    for await (const { step } of rowBatches(reader, {
      seed: 1,
      batch: 64,
      window: 4,
      firstShards: Infinity,
      stepsPerShard: 1,
      toStep: steps,
    })) {
      mark("read", step + 1, steps);
    }
    took("read, shuffled, every sha256 checked");
    console.log(`resident memory over ${bytesInWords(shards * rowsPerShard * length * 4)}:\n  ${marks.join("\n  ")}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

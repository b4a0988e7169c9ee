/**
 * Shards in a bucket beside bare opendal, in turns: MB/s and seconds of this process on a processor a GB; the memory while GIGABYTES are
 * written and read; and how long a training waits for the data of a bucket. Starts gofakes3 unless AWS_ENDPOINT_URL names a service with a
 * bucket "bucket".
 *   node --import tsx test/bench/bucket.ts --out docs/results/bucket.json
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { normals } from "../../schemas/numbers/philox.ts";
import { filesAt } from "../../store/places/files.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { operatorOf } from "../../store/places/operator.ts";
import { idRange, readShard, writeShard } from "../../store/shards/store.ts";
import { noBucket, startBucket } from "../store/bucket-server.ts";
import { latentManifest } from "../store/fixture.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({
  SHARDS: "16",
  MEGABYTES: "32",
  ROUNDS: "5",
  GIGABYTES: "20",
  STEPS: "60",
  COUNT: "1024",
  ONLY: "speed,memory,train",
});
const [shards, rounds, gigabytes] = [Number(settings.SHARDS), Number(settings.ROUNDS), Number(settings.GIGABYTES)];
const root = mkdtempSync(join(tmpdir(), "onestep-bench-"));

/** One line of the table; `ratio` is above 1 where the store is the better one. */
function tell(figure: string, store: number, opendal?: number, ratio?: number): void {
  const row = {
    figure,
    store: rounded(store),
    opendal: opendal === undefined ? "" : rounded(opendal),
    ratio: ratio ? rounded(ratio, 3) : "",
  };
  record(row);
  process.stdout.write(`${figure.padEnd(36)} ${String(row.store).padStart(8)} ${String(row.opendal).padStart(8)} ${row.ratio}\n`);
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/** Four shards at a time, written and read, by the store's functions and by opendal's. */
async function speed(): Promise<void> {
  const bytes = Buffer.alloc(Number(settings.MEGABYTES) * 1e6, 7);
  const hash = "0".repeat(64); // known of a shard before it is put
  const size = (shards * bytes.length) / 1e9;
  const url = (side: string, shard: number): string => `s3://bucket/bench/${side}-${shard}`;
  const { operator } = await operatorOf(url("bare", 0), bytes.length);
  const key = (shard: number): string => url("bare", shard).slice("s3://bucket/".length);
  const files = filesAt("s3://");
  const works: Record<string, Record<"store" | "opendal", (shard: number) => Promise<unknown>>> = {
    write: {
      store: (shard) => files.create(url("store", shard), bytes, hash),
      opendal: (shard) => operator.write(key(shard), bytes, { ifNotExists: true }),
    },
    read: {
      store: (shard) => files.read(url("store", shard), { from: 0, to: bytes.length }),
      opendal: (shard) => operator.read(key(shard)),
    },
  };
  const found: Record<string, { rate: number[]; cpu: number[] }> = {};
  for (let round = -1; round < rounds; round++) {
    for (let shard = 0; shard < shards; shard++) for (const side of ["store", "bare"]) await files.remove(url(side, shard));
    for (const [work, sides] of Object.entries(works)) {
      for (const [side, act] of Object.entries(sides)) {
        const [start, before] = [performance.now(), process.cpuUsage()];
        for (let shard = 0; shard < shards; shard += 4) {
          await Promise.all([0, 1, 2, 3].filter((i) => shard + i < shards).map((i) => act(shard + i)));
        }
        const { user, system } = process.cpuUsage(before);
        if (round < 0) continue; // connections are made, code is compiled
        const { rate, cpu } = (found[`${work} ${side}`] ??= { rate: [], cpu: [] });
        rate.push((1000 * size) / ((performance.now() - start) / 1000));
        cpu.push((user + system) / 1e6 / size);
      }
    }
  }
  for (const work of ["write", "read"]) {
    const [ours, bare] = [found[`${work} store`]!, found[`${work} opendal`]!];
    tell(`${work}, MB/s`, median(ours.rate), median(bare.rate), median(ours.rate) / median(bare.rate));
    tell(`${work}, CPU s a GB`, median(ours.cpu), median(bare.cpu), median(bare.cpu) / median(ours.cpu));
  }
}

/** The most memory of this process while a store is written and read, by its first gigabyte and by its last; shards go once read. */
async function memory(): Promise<void> {
  const [rowsPerShard, length] = [512, 64 * 64 * 4];
  const count = Math.max(2, Math.round((gigabytes * 1e9) / (rowsPerShard * length * 4)));
  const folder = "s3://bucket/bench/large";
  const manifest = latentManifest({ shape: [64, 64, 4], entries: count * rowsPerShard, rowsPerShard });
  const store = await createLatentStore({ folder, manifest });
  const values = normals({ seed: 1, stream: "bench", length: rowsPerShard * length });
  let [most, first] = [0, 0];
  for (let shard = 0; shard < count; shard++) {
    const { from } = idRange(manifest as never, shard);
    const rows = Array.from({ length: rowsPerShard }, (_, i) => {
      const index = from + i;
      return { index, name: `${index}.png`, label: i % 10, latent: values.subarray(i * length, (i + 1) * length) };
    });
    await writeShard(store, { shard, rows });
    if ((await readShard(store, shard)).length !== rowsPerShard) throw new Error("a shard is short");
    await filesAt(folder).remove(`${folder}/shards/${String(shard).padStart(6, "0")}.parquet`); // the server holds it in memory
    most = Math.max(most, process.memoryUsage().rss);
    if (shard === Math.min(count >> 1, Math.ceil(count / gigabytes))) first = most;
  }
  tell("memory by the first GB, MB", first / 1e6);
  tell(`memory by ${settings.GIGABYTES} GB, MB`, most / 1e6);
}

/** The share of a training's time in which it waits for data, from a bucket and from a folder. */
function train(): void {
  const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));
  const teacher = fileURLToPath(new URL("../../data/demo/teacher", import.meta.url));
  const run = (...words: string[]): string => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [pipeline, ...words], { encoding: "utf8" });
    if (status !== 0) throw new Error(`${words.join(" ")}\n${stdout}${stderr}`);
    return stdout + stderr;
  };
  const waited = (store: string, name: string): number => {
    run("simulate", "--teacher", teacher, "--out", store, "--count", settings.COUNT, "--steps", "2", "--set", "simulate.rowsPerShard=64");
    const steps = ["--steps", settings.STEPS, "--set", "train.distanceEvery=0", "--set", "train.pictureEvery=1000000"];
    const said = run("train", "--store", store, "--teacher", teacher, "--out", join(root, name), "--method", "hipa", ...steps);
    return Number(/waited for data during ([\d.]+) %/.exec(said)?.[1]);
  };
  tell("a training waits for a bucket, %", waited("s3://bucket/bench/triples", "far"));
  tell("a training waits for a folder, %", waited(join(root, "triples"), "near"));
}

const works: Record<string, () => Promise<void> | void> = { speed, memory, train };
try {
  const reason = process.env.AWS_ENDPOINT_URL ? undefined : noBucket();
  if (reason) throw new Error(reason);
  if (!process.env.AWS_ENDPOINT_URL) await startBucket();
  process.env.ONESTEP_CACHE = "off";
  for (const name of settings.ONLY.split(",")) await works[name]!();
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.exit(0);

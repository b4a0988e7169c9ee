/** One job of growth.ts in a process of its own, by the code of any checkout; prints the seconds and the peak of its memory. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [checkout = "", job = "", source = "", out = "", rows = "", shards = ""] = process.argv.slice(2);
// What is imported lies in another checkout, perhaps of another commit: its types are not known here.
const from = async (path: string): Promise<Record<string, (...args: unknown[]) => never>> => {
  const place = existsSync(join(checkout, path)) ? path : path.replace(/^store\/\w+\//, "store/"); // where the store was one folder
  return import(pathToFileURL(join(checkout, place)).href);
};
const { signal } = new AbortController();
const context = { signal, report: () => {} };
const store = async () => (await from("store/rows/latents.ts")).openLatentStore!({ folder: source });
const settingsOf = async (changes: object) =>
  ((await from("recipes/settings.ts")) as unknown as { settingsSchema: { parse: (value: object) => object } }).settingsSchema.parse(
    changes,
  );

/** By name: reads the code it needs, then answers the work alone, which is what is timed. */
const jobs: Record<string, () => Promise<() => Promise<void>>> = {
  /** An epoch of training's batches. */
  batches: async () => {
    const { rowBatches } = await from("store/rows/batches.ts");
    const reader = await store();
    const order = { seed: 1, batch: 64, window: 4, firstShards: Infinity, stepsPerShard: 1, toStep: Math.ceil(Number(rows) / 64) };
    return async () => {
      for await (const _ of rowBatches!(reader, order) as AsyncIterable<unknown>);
    };
  },
  /** A reader that follows while the store is written: each shard's line of the journal comes just before the shard is read. */
  follow: async () => {
    const { readShard } = await from("store/shards/store.ts");
    const [journal, lines, summary] = ["journal.jsonl", "journal", "summary.json"].map((name) => join(source, name)) as [
      string,
      string,
      string,
    ];
    const text = readFileSync(journal, "utf8");
    await store(); // its code is read now
    return async () => {
      renameSync(summary, `${summary}.kept`);
      try {
        rmSync(journal);
        mkdirSync(lines);
        const reader = await store();
        for (const [shard, line] of text.trimEnd().split("\n").entries()) {
          writeFileSync(join(lines, `${String(shard).padStart(6, "0")}.json`), `${line}\n`);
          await readShard!(reader, shard);
        }
      } finally {
        rmSync(lines, { recursive: true, force: true });
        writeFileSync(journal, text);
        renameSync(`${summary}.kept`, summary);
      }
    };
  },
  inspect: async () => {
    const { surveyStore } = await from("stages/inspect/survey.ts");
    const reader = await store();
    return async () => {
      await surveyStore!(reader, { signal });
    };
  },
  verify: async () => {
    const { verifyStore } = await from("store/making/verify.ts");
    const reader = await store();
    return async () => {
      const findings: unknown[] = await verifyStore!(reader);
      if (findings.length > 0) throw new Error(JSON.stringify(findings[0]));
    };
  },
  /** The reference's pictures as evaluate gathers them; what measures a batch only takes it. */
  evaluate: async () => {
    const { openReference } = await from("stages/evaluate/reference.ts");
    const { createGatherer } = await from("stages/evaluate/gather.ts");
    const settings = await settingsOf({ images: { size: 16 }, encoder: { kind: "pixel" } });
    const { writeDescriptions } = await from("stages/runs/store-settings.ts");
    const codec = await (await from("stages/runs/model.ts")).openCodec!(settings);
    for (const name of ["codec.json", "codec.safetensors", "settings.yaml", "checksums.json"]) rmSync(join(source, name), { force: true });
    await writeDescriptions!({ folder: source, codec, settings, context }); // as this checkout reads it
    return async () => {
      const reference: { all: () => AsyncIterable<unknown>; available: number; size: number } = await openReference!({
        ...{ path: source, settings, signal },
      });
      const measurer = { call: async () => {} };
      const gather = createGatherer!({ measurer, batch: 64, reference: { ...reference, path: source }, report: () => {} });
      await (gather as (options: object) => Promise<unknown>)({ set: "reference", pictures: reference.all(), total: reference.available });
    };
  },
  ingest: async () => {
    const { ingest } = await from("pipelines/ingest.ts");
    const rowsPerShard = Math.ceil(Number(rows) / Number(shards));
    const settings = await settingsOf({ images: { size: 16 }, encoder: { kind: "pixel", rowsPerShard }, engine: { threads: 1 } });
    return async () => {
      await ingest!({ images: [source], out, settings, context });
    };
  },
};

const work = await jobs[job]!();
const [began, used] = [performance.now(), process.cpuUsage()];
await work();
const { user, system } = process.cpuUsage(used);
const figures = {
  seconds: (performance.now() - began) / 1000,
  processor: (user + system) / 1e6,
  peak: 1024 * process.resourceUsage().maxRSS,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);

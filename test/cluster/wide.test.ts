/** Stores of more than a million shards: names, looking for a part's own, and sealing in little memory. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { namesIn, temporaryName } from "../../store/places/atomic.ts";
import { createEntries } from "../../store/records/recorded.ts";
import { inOrder } from "../../store/places/in-order.ts";
import { journalLine, readJournal, recordOf } from "../../store/records/journal.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { missingOwn } from "../../store/making/others.ts";
import { presentShards, readShard, shardName, writeShard } from "../../store/shards/store.ts";
import { summarise } from "../../store/shards/summary.ts";
import { planWork } from "../../store/making/work.ts";
import { assert, suite } from "../harness.ts";
import { wideEntry, wideHead, wideManifest } from "./wide-store.ts";

const test = suite("stores of millions of shards");
const root = mkdtempSync(join(tmpdir(), "onestep-wide-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));

test("names widen above 999,999, and shards are in the order of their numbers", async () => {
  const store = await createLatentStore({ folder: join(root, "names"), manifest: wideManifest(2_000_000) });
  const names = [0, 999_999, 1_000_000].map((shard) => shardName(store, shard));
  assert.equal(names, ["000000.parquet", "999999.parquet", "1000000.parquet"]);
  const shards = [1_000_000, 100_000, 999_999, 1_999_999];
  for (const shard of shards) {
    await writeShard(store, { shard, rows: [{ index: shard, name: `${shard}.png`, latent: Float32Array.of(1) }] });
  }
  assert.ok(existsSync(join(root, "names/shards/1000000.parquet")));
  assert.equal(await presentShards(store), [100_000, 999_999, 1_000_000, 1_999_999]);
  assert.is((await readShard(store, 1_000_000))[0]?.index, 1_000_000);
  const missing = await missingOwn(store, (shard) => shards.includes(shard) || shard === 7); // looked for one by one
  assert.equal(missing, [7]);
});

test("a task of many leaves what killed processes left to the one that seals; a task of its own removes it", async () => {
  const store = await createLatentStore({ folder: join(root, "left"), manifest: wideManifest(64) });
  const leftover = join(store.folder, "shards/.000002.parquet.0-999999999-00000000.tmp");
  const own = temporaryName("000003.parquet").replace(`-${process.pid}-`, "-999999999-"); // of a dead process of this machine
  for (const path of [leftover, join(store.folder, "shards", own)]) writeFileSync(path, "torn");
  const context = { stage: "ingest", signal: new AbortController().signal, report: () => {} };
  await planWork(store, { ...context, part: "3/64" });
  assert.equal((await namesIn(join(store.folder, "shards"))).length, 2);
  assert.is((await planWork(store, context)).shards.length, 64);
  assert.equal(await namesIn(join(store.folder, "shards")), [basename(leftover)]); // another machine may be at it
});

test("answers come in order, at most 32 are under way, and an error comes at its place", async () => {
  let [under, most] = [0, 0];
  const ask = async (n: number) => {
    most = Math.max(most, ++under);
    await new Promise((resolve) => setTimeout(resolve, n % 3));
    under--;
    if (n === 150) throw new Error("no answer");
    return n;
  };
  const seen: number[] = [];
  const all = async () => {
    for await (const n of inOrder(200, ask)) seen.push(n);
  };
  await assert.rejects(all(), /no answer/);
  assert.equal(
    seen,
    Array.from({ length: 150 }, (_, n) => n),
  );
  assert.is(most, 32);
  assert.is(under, 0);
});

test("entries are a Map's, of one or several lines a shard and with failures, in a fraction of its memory", () => {
  const [compact, map] = [createEntries(), new Map<number, readonly ReturnType<typeof recordOf>[]>()];
  const failing = recordOf({ ...wideEntry(3), failed: [{ id: 3, reason: "torn" }] });
  const sets: [number, ReturnType<typeof recordOf>[]][] = [
    [5, [recordOf(wideEntry(5))]],
    [1e15, [recordOf(wideEntry(6))]],
    [3, [failing]],
    [5, [recordOf(wideEntry(5)), recordOf(wideEntry(8))]],
    [70, [recordOf(wideEntry(70))]],
    [3, [recordOf(wideEntry(3))]],
  ];
  for (const [shard, entries] of sets) {
    compact.set(shard, entries);
    map.set(shard, entries);
  }
  for (const shard of [3, 4, 5, 6, 70, 1e15]) assert.equal(compact.get(shard), map.get(shard));
  assert.is(compact.size, map.size);
  const sorted = (entries: Iterable<[number, unknown]>) => [...entries].sort(([a], [b]) => a - b);
  assert.equal(sorted(compact), sorted(map));

  const before = process.memoryUsage().arrayBuffers;
  const many = createEntries();
  const shards = 200_000;
  const entry = [recordOf(wideEntry(0))];
  for (let shard = 0; shard < shards; shard++) many.set(shard, entry);
  assert.ok((process.memoryUsage().arrayBuffers - before) / shards < 60);
});

test("a journal in any order is summed up and sealed in the order of the shards", async () => {
  const shards = 20_000;
  const folder = join(root, "sealed");
  const store = await createLatentStore({ folder, manifest: wideManifest(shards) });
  const lines = Array.from({ length: shards }, (_, shard) => `${journalLine(wideEntry(shard))}\n`);
  writeFileSync(join(folder, "journal.jsonl"), [...lines].reverse().join(""));
  assert.is((await readJournal(join(folder, "journal.jsonl"))).entries.size, shards);
  const { journal, result } = summarise(store, { headOf: async (shard) => wideHead(shard) });
  const contents = createHash("sha256");
  for (let shard = 0; shard < shards; shard++) contents.update(`${wideEntry(shard).sha256}\n`);
  let text = "";
  for await (const piece of journal) text += Buffer.from(piece).toString();
  const { summary } = result();
  assert.equal([summary.rows, summary.shards, summary.contents], [shards, shards, contents.digest("hex")]);
  assert.ok(text === lines.join(""));
});

test.run();

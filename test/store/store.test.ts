import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { integers } from "../../schemas/numbers/philox.ts";
import { createLatentStore, openLatentStore, readLatents } from "../../store/rows/latents.ts";
import { createTripleStore, openTripleStore } from "../../store/rows/triples.ts";
import { journalPath } from "../../store/records/layout.ts";
import { missingShards, openStore, readShard, shardPath, writeShard } from "../../store/shards/store.ts";
import { denormalise, normalise } from "../../store/records/statistics.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest, latentRow, loseJournal, tripleManifest } from "./fixture.ts";

const test = suite("store");
const odd = (id: number) => id % 7 === 5;

async function sealedStore() {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store, odd);
  await sealStore(store);
  return store;
}

test("rows, failures and counts come back from a finished store", async () => {
  const { folder } = await sealedStore();
  const store = await openLatentStore({ folder });
  const rows = [];
  for await (const row of readLatents(store)) rows.push(row);
  const ids = Array.from({ length: 50 }, (_, id) => id);
  assert.equal(rows, ids.filter((id) => !odd(id)).map(latentRow));
  const summary = await readSummary(store);
  assert.is(summary?.rows, 43);
  assert.is(summary?.rejected, 7);
  assert.is(readFileSync(join(folder, "quarantine/000000.jsonl"), "utf8"), '{"id":5,"name":"5.png","reason":"not an image"}\n');
  assert.equal(await verifyStore(store), []);
});

test("statistics agree with a plain two-pass computation", async () => {
  const store = await sealedStore();
  const { statistics } = (await readSummary(store))!;
  for (let c = 0; c < 2; c++) {
    const values = [];
    for await (const { latent } of readLatents(store)) values.push(...latent.filter((_, i) => i % 2 === c));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    assert.close(statistics.mean[c]!, mean, 1e-12);
    assert.close(statistics.std[c]!, Math.sqrt(variance), 1e-12);
    assert.is(statistics.min[c], Math.min(...values));
    assert.is(statistics.max[c], Math.max(...values));
  }
  assert.is(statistics.nonFinite, 0);
});

test("normalising gives zero mean and sigmaData in each channel, and comes back", async () => {
  const store = await sealedStore();
  const { statistics } = (await readSummary(store))!;
  const all: number[] = [];
  for await (const { latent } of readLatents(store)) {
    const scaled = normalise(latent, statistics, 0.5);
    all.push(...scaled.filter((_, i) => i % 2 === 1));
    assert.close(denormalise(scaled, statistics, 0.5), latent, 1e-6);
  }
  assert.close(all.reduce((a, b) => a + b, 0) / all.length, 0, 1e-6);
  assert.close(Math.sqrt(all.reduce((a, b) => a + b * b, 0) / all.length), 0.5, 1e-6);
});

test("making the shards in any order, stopped and resumed, gives the same files", async () => {
  const whole = await sealedStore();
  const folder = freshFolder();
  const first = await createLatentStore({ folder, manifest: latentManifest() });
  for (const shard of [4, 1]) await fillShard(first, shard, odd);
  // What a kill leaves: torn temporary files, a line whose shard never appeared.
  const dead = `${journalPath(first)}`.replace("journal.jsonl", "shards/.000002.parquet.0-999999999-00000000.tmp");
  writeFileSync(dead, readFileSync(shardPath(whole, 2)).subarray(0, 1000));
  const [line] = readFileSync(journalPath(whole), "utf8").split("\n");
  writeFileSync(join(folder, "journal/000000.json"), `${line}\n`);
  writeFileSync(join(folder, "journal/.000002.json.0-999999999-00000000.tmp"), '{"shard":2,"ro');
  const second = await createLatentStore({ folder, manifest: latentManifest() });
  assert.equal(await missingShards(second), [0, 2, 3, 5, 6]);
  for (const shard of (await missingShards(second)).reverse()) await fillShard(second, shard, odd);
  await sealStore(second);
  assert.equal(contentsOf(folder), contentsOf(whole.folder));
  assert.equal(await verifyStore(second), []);
});

test("nothing in a store depends on clock, host or place", async () => {
  const store = await sealedStore();
  const text = Object.values(contentsOf(store.folder))
    .map((hex) => Buffer.from(hex, "hex").toString("latin1"))
    .join();
  for (const trace of [store.folder, hostname(), new Date().toISOString().slice(0, 8)]) {
    assert.not(text.includes(trace), `${trace} in a store file`);
  }
});

test("another store's settings are refused by name", async () => {
  const { folder } = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  const other = tripleManifest({ guidance: 3, teacher: { hash: "t1" } });
  await assert.rejects(createTripleStore({ folder, manifest: other }), /guidance: 1.5 instead of 3; teacher.hash: "t0" instead of "t1"/);
  await assert.rejects(openLatentStore({ folder }), /store of triples/);
  await assert.rejects(openStore({ folder: freshFolder() }), /there is no such folder\. Name/);
  await openTripleStore({ folder });
  const newer = readFileSync(join(folder, "store.json"), "utf8").replace('"version": 1', '"version": 2');
  writeFileSync(join(folder, "store.json"), newer);
  await assert.rejects(openTripleStore({ folder }), /format version 2 and this program reads up to 1. Update/);
});

test("wrong manifests are refused with the key", async () => {
  const bad = [
    [{ seed: "-1" }, /seed: expected a decimal number/],
    [{ shape: [4, 0, 2] }, /shape.1/],
    [{ colour: "red" }, /colour/],
  ] as const;
  for (const [changes, message] of bad) {
    const manifest = tripleManifest(changes as unknown as Parameters<typeof tripleManifest>[0]);
    await assert.rejects(createTripleStore({ folder: freshFolder(), manifest }), message);
  }
});

test("every id is a row or a failure, once", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  const rows = Array.from({ length: 8 }, (_, i) => latentRow(i));
  const failure = (id: number) => ({ id, reason: "r" });
  const wrong = [
    { shard: 0, rows: rows.slice(1) },
    { shard: 0, rows, failed: [failure(3)] },
    { shard: 0, rows: rows.slice(1), failed: [failure(8)] },
    { shard: 0, rows: [...rows].reverse() },
    { shard: 1, rows },
    { shard: 7, rows },
  ];
  for (const options of wrong) await assert.rejects(writeShard(store, options), /Cannot write shard/);
  assert.equal((await missingShards(store)).length, 7);
});

test("a store in which everything was rejected cannot be finished", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ entries: 9 }) });
  await fill(store, () => true);
  await assert.rejects(sealStore(store), /all 9 entries were rejected \(first reason: not an image\)/);
});

test("an unfinished store cannot be sealed", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fillShard(store, 0);
  await assert.rejects(sealStore(store), /6 of 7 shards are missing, the first is 1/);
  assert.is(await readSummary(store), undefined);
  assert.equal(await verifyStore(store), []);
});

test("a lost file of a finished store is found", async () => {
  const { folder } = await sealedStore();
  for (const name of Object.keys(contentsOf(folder))) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    rmSync(path);
    const unfinished = name === "summary.json"; // without it this is a sound store still to be sealed
    assert.is(await isRefused(folder), !unfinished, `${name} lost`);
    writeFileSync(path, bytes);
  }
});

async function isRefused(folder: string): Promise<boolean> {
  try {
    return (await verifyStore(await openStore({ folder }))).length > 0;
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return true;
  }
}

test("a reader names the damaged row and the remedy, and the shard alone is remade", async () => {
  const { folder } = await sealedStore();
  const path = join(folder, "shards/000003.parquet");
  const bytes = readFileSync(path);
  const needle = Buffer.from(latentRow(27).latent.buffer);
  const damaged = Buffer.from(bytes);
  damaged[bytes.indexOf(needle) + 9]! ^= 4;
  writeFileSync(path, damaged);
  const store = await openLatentStore({ folder });
  const error = await assert.rejects(
    readShard(store, 3),
    /shard 3 \(rows 24 to 31\) .* row 2 \(id 27\) does not match .* with --repair: it remakes this shard alone/,
  );
  assert.is(error.name, "Failure");
  rmSync(path);
  assert.equal(await missingShards(store), [3]);
  await assert.rejects(readShard(store, 3), /is not there. Repeat the command/);
  await fillShard(store, 3, odd);
  assert.ok(readFileSync(path).equals(bytes));
});

test("damage that comes after the first reading is found by the rows' checksums", async () => {
  const { folder } = await sealedStore();
  const store = await openLatentStore({ folder });
  await readShard(store, 1);
  const path = shardPath(store, 1);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf(Buffer.from(latentRow(9).latent.buffer))]! ^= 1;
  writeFileSync(path, bytes);
  await assert.rejects(readShard(store, 1), /row 1 \(id 9\)/);
});

test("a shard under another name, or of another store, is refused", async () => {
  const store = await sealedStore();
  const other = await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ imageSize: 33 }) });
  copyFileSync(shardPath(store, 1), shardPath(store, 2));
  await assert.rejects(readShard(await openLatentStore(store), 2), /sha256/);
  rmSync(journalPath(store));
  await assert.rejects(readShard(await openLatentStore(store), 2), /shard 1 under another name/);
  await fill(other);
  copyFileSync(shardPath(store, 1), shardPath(other, 1));
  loseJournal(other);
  await assert.rejects(readShard(await openLatentStore(other), 1), /another store/);
});

test("a lost journal is rebuilt from the shards", async () => {
  const store = await sealedStore();
  const before = contentsOf(store.folder);
  rmSync(journalPath(store));
  await sealStore(await openLatentStore(store));
  assert.equal(contentsOf(store.folder), before);
});

test("without its journal line a shard must be what its rows give, to the last bit", async () => {
  const store = await sealedStore();
  const bytes = readFileSync(shardPath(store, 0));
  rmSync(journalPath(store));
  const draws = integers({ seed: 7, stream: "bits", length: 60, below: bytes.length * 8 });
  for (const bit of draws) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    writeFileSync(shardPath(store, 0), damaged);
    await assert.rejects(readShard(await openLatentStore(store), 0), /Cannot use shard 0/);
  }
});

test("latents that are not numbers are counted", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ entries: 2 }) });
  const rows = [latentRow(0), latentRow(1)];
  rows[1]!.latent[4] = NaN;
  rows[1]!.latent[6] = Infinity;
  await writeShard(store, { shard: 0, rows });
  assert.is((await sealStore(store)).statistics.nonFinite, 2);
});

test.run();

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ahead } from "../../store/rows/ahead.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import { createLatentStore, latentBatches, openLatentStore } from "../../store/rows/latents.ts";
import { shardPath } from "../../store/shards/store.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { createTripleStore, openTripleStore, readTriples, type TripleBatch, tripleBatches } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { fill, fillShard, freshFolder, latentManifest, tripleManifest } from "./fixture.ts";

const test = suite("batches");
const order = { seed: 1, batch: 5, window: 3, firstShards: 1, stepsPerShard: 2 };

async function take<T>(batches: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const batch of batches) if (taken.push(batch) === count) break;
  return taken;
}

const bits = (batches: TripleBatch[]) => batches.map(({ rows: _, ...batch }) => batch);

test("noise stored and derived gives the same batches, bit by bit", async () => {
  const stores = await Promise.all(
    (["stored", "derived"] as const).map(async (noise) => {
      const manifest = tripleManifest({ noise, dtype: "float16" });
      const store = await createTripleStore({ folder: freshFolder(), manifest });
      await fill(store);
      return store;
    }),
  );
  const [stored, derived] = await Promise.all(stores.map(async (store) => bits(await take(tripleBatches(store, order), 40))));
  assert.equal(stored, derived);
  const [rows, others] = await Promise.all(stores.map((store) => readTriples(store, 2)));
  assert.equal(
    rows?.map(({ noise }) => noise),
    others?.map(({ noise }) => noise),
  );
});

test("batches of a growing store equal those of the finished one", async () => {
  const finished = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(finished, (id) => id % 9 === 4);
  const expected = bits(await take(tripleBatches(finished, order), 30));

  const growing = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  const reader = await openTripleStore(growing);
  const waited: number[] = [];
  const reading = take(tripleBatches(reader, { ...order, onWait: (shard) => waited.push(shard) }), 30);
  for (const shard of [3, 0, 1, 6, 2, 5, 4]) {
    await sleep(10);
    await fillShard(growing, shard, (id) => id % 9 === 4);
  }
  assert.equal(bits(await reading), expected);
  assert.ok(waited.includes(0) && waited.length >= 3, `waited for ${waited}`);
});

test("training resumed at any step sees what it would have seen", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(store);
  const whole = bits(await take(tripleBatches(store, order), 60));
  assert.equal(
    whole.map(({ step }) => step),
    Array.from({ length: 60 }, (_, step) => step),
  );
  for (const fromStep of [1, 7, 13, 40, 59]) {
    const rest = bits(await take(tripleBatches(store, { ...order, fromStep, toStep: 60 }), 100));
    assert.equal(rest, whole.slice(fromStep));
  }
});

test("an epoch over a finished store shows every row once", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ entries: 48 }) });
  await fill(store);
  const batches = await take(tripleBatches(store, { ...order, batch: 8, firstShards: Infinity }), 6);
  const ids = batches.flatMap(({ rows }) => rows.map(({ id }) => id));
  assert.equal(
    [...ids].sort((a, b) => a - b),
    Array.from({ length: 48 }, (_, i) => i),
  );
  assert.not.equal(
    ids,
    [...ids].sort((a, b) => a - b),
  );
});

test("latent batches are laid out flat, with labels and captions, and normalised on request", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  await sealStore(store);
  const [batch] = await take(latentBatches(store, order), 1);
  assert.is(batch?.latent.length, 5 * 24);
  for (const [i, row] of batch!.rows.entries()) {
    assert.equal(batch!.latent.slice(i * 24, (i + 1) * 24), row.latent);
    assert.is(batch!.label[i], row.label ?? -1);
    assert.is(batch!.caption[i], row.caption);
  }
  const statistics = (await readSummary(store))!.statistics;
  const [scaled] = await take(latentBatches(store, { ...order, scale: { statistics, sigmaData: 0.5 } }), 1);
  const expected = batch!.latent.map((x, i) => ((x - statistics.mean[i % 2]!) / statistics.std[i % 2]!) * 0.5);
  assert.close(scaled!.latent, expected, 1e-6);
});

test("no row of a damaged shard reaches training", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ entries: 48 }) });
  await fill(store);
  const path = shardPath(store, 4);
  const bytes = readFileSync(path);
  bytes[700]! ^= 8;
  writeFileSync(path, bytes);
  const reader = await openTripleStore(store);
  const seen: number[] = [];
  const training = async () => {
    for await (const { rows } of tripleBatches(reader, { ...order, firstShards: 6 })) seen.push(...rows.map(({ id }) => id));
  };
  await assert.rejects(training, /Cannot use shard 4/);
  assert.not(seen.some((id) => Math.floor(id / 8) === 4));
});

test("waiting ends when aborted, and when the consumer leaves", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  const abort = new AbortController();
  const first = tripleBatches(store, { ...order, signal: abort.signal }).next();
  setTimeout(() => abort.abort(new Error("stopped by the test")), 20);
  await assert.rejects(first, "stopped by the test");
  await fillShard(store, 0);
  const batches = tripleBatches(store, { ...order, window: 1, stepsPerShard: 1 });
  assert.is((await batches.next()).value?.step, 0); // the next block waits for shards that never come
  await batches.return(undefined);
});

test("the next batch is made while the one before is at work, and leaving ends it", async () => {
  const made: number[] = [];
  let [isAwaited, left] = [false, false];
  const numbers = async function* (signal: AbortSignal) {
    try {
      for (let i = 0; i < 4; i++) {
        isAwaited = i === 3;
        if (isAwaited) await once(signal, "abort"); // an item that never comes
        made.push(i);
        yield i;
      }
    } finally {
      left = true;
    }
  };
  const items = ahead(numbers);
  assert.is((await items.next()).value, 0);
  assert.equal(made, [0]); // the consumer has the thread first
  while (made.length < 2) await sleep(1);
  await sleep(5);
  assert.equal(made, [0, 1]);
  assert.equal([(await items.next()).value, (await items.next()).value], [1, 2]);
  while (!isAwaited) await sleep(1);
  await items.return(undefined);
  assert.ok(left);
});

test("an error while reading ahead is reported when its block is due, not before", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ entries: 16 }) });
  await fillShard(store, 0);
  await fillShard(store, 1);
  const path = shardPath(store, 1);
  const bytes = readFileSync(path);
  bytes[500]! ^= 1;
  writeFileSync(path, bytes);
  const batches = rowBatches(await openTripleStore(store), {
    ...order,
    batch: 4,
    window: 1,
    firstShards: Infinity,
    seed: 4,
  });
  const results = [];
  try {
    for await (const { step } of batches) {
      results.push(step);
      await sleep(30);
    }
  } catch (error) {
    results.push((error as Error).name);
  }
  assert.ok(results.length === 1 || results.length === 3, String(results)); // shard 1 comes first or second
  assert.is(results.at(-1), "Failure");
});

test("a window in which everything failed says so", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store, (id) => id < 8);
  const reader = await openLatentStore(store);
  await assert.rejects(take(latentBatches(reader, order), 1), /every row of shard 0 failed/);
});

test("reading ahead stays within the next window", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ entries: 400 }) });
  await fill(store);
  const batches = rowBatches(store, { ...order, batch: 8, firstShards: Infinity });
  for (let step = 0; step < 15; step++) {
    await batches.next();
    await sleep(5);
    const windows = Math.floor(step / 3) + 2; // the current one and the next
    assert.ok(store.sound.size <= windows * 3, `${store.sound.size} shards read by step ${step}`);
  }
  await batches.return(undefined);
});

test.run();

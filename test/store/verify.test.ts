import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { verify } from "../../pipelines/verify.ts";
import { parseManifest, storeVersion } from "../../schemas/manifest.ts";
import { surveyShards } from "../../stages/inspect/ends.ts";
import { checkBooks } from "../../store/shards/books.ts";
import { isStoreGone, waitForShard, waitForStore } from "../../store/rows/follow.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { mendStore } from "../../store/making/mend.ts";
import { missingShards, openStore, shardPath, writeShard } from "../../store/shards/store.ts";
import { readSummary, sealStore, summaryText } from "../../store/shards/summary.ts";
import { createTotals, statisticsOf } from "../../store/records/statistics.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { listening } from "../inspect/fixture.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("verify");
const { signal } = new AbortController();

async function sealed(changes: Parameters<typeof latentManifest>[0] = {}) {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(changes) });
  await fill(store, (id) => id % 7 === 5);
  await sealStore(store);
  return openStore(store);
}

test("what systems and tools leave in a store is passed over", async () => {
  const { folder } = await sealed();
  for (const place of ["shards", "quarantine"]) {
    for (const name of ["._000000.parquet", "._000005.jsonl", ".DS_Store", "Thumbs.db", "desktop.ini", ".nfs000000000123abcd00000001"]) {
      writeFileSync(join(folder, place, name), "litter");
    }
    mkdirSync(join(folder, place, "@eaDir"));
    writeFileSync(join(folder, place, "@eaDir/000000.parquet"), "litter");
  }
  assert.equal(await verifyStore(await openStore({ folder })), []);
  assert.equal(await missingShards(await openStore({ folder })), []);
  await checkBooks(await openStore({ folder }));
  assert.is((await surveyShards(await openStore({ folder }), signal)).shards.length, 7);
});

test("any other file among the shards is named", async () => {
  const { folder } = await sealed();
  const strange = ["0000000.parquet", "000099.parquet", "000001.parquet.bak", "notes.txt", "1.parquet"];
  for (const name of strange) writeFileSync(join(folder, "shards", name), "");
  const findings = await verifyStore(await openStore({ folder }));
  assert.equal(findings.map(({ file }) => file).sort(), strange.map((name) => `shards/${name}`).sort());
});

test("work follows the files: millions of missing shards are one finding", async () => {
  const manifest = latentManifest({ entries: 8e6, rowsPerShard: 1 });
  const store = await createLatentStore({ folder: freshFolder(), manifest });
  for (const shard of [0, 5, 6, 7_999_999]) await fillShard(store, shard);
  assert.equal(await verifyStore(await openStore(store)), []);
  const { shards, planned } = await surveyShards(await openStore(store), signal);
  assert.equal(planned, 8e6);
  assert.equal(
    shards.map(({ shard, count, state }) => [shard, count, state]),
    [
      [0, 1, "sound"],
      [1, 4, "missing"],
      [5, 1, "sound"],
      [6, 1, "sound"],
      [7, 7_999_992, "missing"],
      [7_999_999, 1, "sound"],
    ],
  );
  const made = await sealed();
  const summary = { ...(await readSummary(made))!, fingerprint: store.fingerprint };
  writeFileSync(join(store.folder, "summary.json"), summaryText(summary)); // it claims to be finished
  const findings = await verifyStore(await openStore(store));
  assert.equal(
    findings.map(({ file, shard, shards, ids }) => [file, shard, shards, ids]),
    [
      ["shards/000001.parquet to 000004.parquet", 1, 4, { from: 1, to: 5 }],
      ["shards/000007.parquet to 7999998.parquet", 7, 7_999_992, { from: 7, to: 7_999_999 }],
    ],
  );
  await assert.rejects(checkBooks(await openStore(store)), /000001.parquet to 000004.parquet: they are missing from a finished store/);
});

test("a store of more shards than any folder holds is refused by its description", () => {
  const described = (changes: object) => ({ ...latentManifest(), ...changes, format: "onestep", version: storeVersion, kind: "latents" });
  for (const [changes, message] of [
    [
      { entries: 2 ** 53 - 1, rowsPerShard: 1 },
      /9007199254740991 in shards of 1 .* make 9007199254740991 shards, expected at most 10000000/,
    ],
    [{ shape: [1, 1, 2 ** 20] }, /1048576 channels, expected at most 65536/],
    [{ shape: [2 ** 20, 2 ** 20, 1] }, /a latent of 1048576 x 1048576 x 1 has 1099511627776 values/],
  ] as const) {
    assert.throws(() => parseManifest(described(changes), "store.json"), message);
  }
});

test("what stands in a shard's place and is no file of its size is found without being read", async () => {
  const { folder } = await sealed();
  rmSync(join(folder, "shards/000000.parquet"));
  mkdirSync(join(folder, "shards/000000.parquet"));
  truncateSync(join(folder, "shards/000001.parquet"), 2 ** 40); // sparse: a tebibyte
  rmSync(join(folder, "shards/000002.parquet"));
  execFileSync("sh", ["-c", 'mkfifo "$0"', join(folder, "shards/000002.parquet")]);
  rmSync(join(folder, "shards/000003.parquet"));
  symlinkSync("/dev/zero", join(folder, "shards/000003.parquet"));
  const problems = (await verifyStore(await openStore({ folder }))).map(({ shard, problem }) => `${shard}: ${problem}`);
  assert.equal(problems.length, 4);
  for (const [i, problem] of [
    /it is not a file/,
    /it has 1099511627776 bytes, expected \d+$/,
    /it is not a file/,
    /it is not a file/,
  ].entries()) {
    assert.match(problems[i]!, problem);
  }
  writeFileSync(join(folder, "journal.jsonl"), ""); // nobody says how large it is
  const [, second] = await verifyStore(await openStore({ folder }));
  assert.match(second!.problem, /shard|line|bytes/);
});

test("a summary that is not what the journal says is refused before training", async () => {
  const store = await sealed();
  const summary = (await readSummary(store))!;
  for (const [key, value] of Object.entries({ rows: 50, rejected: 0, shards: 6, bytes: 1, contents: "0".repeat(64) })) {
    writeFileSync(join(store.folder, "summary.json"), summaryText({ ...summary, [key]: value }));
    await assert.rejects(
      checkBooks(await openStore(store)),
      new RegExp(`summary.json: it is not what the journal says \\(${key}: ${value} instead`),
    );
  }
  const statistics = { ...summary.statistics, mean: [0, 0] };
  writeFileSync(join(store.folder, "summary.json"), summaryText({ ...summary, statistics }));
  const [finding] = await verifyStore(await openStore(store));
  assert.equal([finding?.file, finding?.problem], ["summary.json", "it is not what the shards say"]);
});

test("verify --repair answers with what is left after it", async () => {
  const store = await sealed();
  const files = contentsOf(store.folder);
  const { context, results } = listening();
  writeFileSync(join(store.folder, "journal.jsonl"), "torn\n");
  writeFileSync(join(store.folder, "quarantine/000001.jsonl"), "torn\n");
  assert.equal(await verify({ path: store.folder, repair: true, context }), []);
  assert.equal(contentsOf(store.folder), files);
  assert.is(results.verify?.damaged, 0);

  writeFileSync(join(store.folder, "journal.jsonl"), "torn\n");
  writeFileSync(join(store.folder, "shards/notes.txt"), "mine");
  copyFileSync(shardPath(store, 1), shardPath(store, 2));
  await assert.rejects(
    verify({ path: store.folder, repair: true, context }),
    /is damaged: 2 findings after the repair, 1 of its 7 shards must be made again \(2\)/,
  );
  const left = await mendStore(await openStore(store));
  assert.equal(left.map(({ file }) => file).sort(), ["shards/000002.parquet", "shards/notes.txt"]);
});

test("a repair keeps what is recorded of a damaged shard", async () => {
  const store = await sealed();
  const [line] = readFileSync(join(store.folder, "journal.jsonl"), "utf8").split("\n").slice(2);
  const bytes = readFileSync(shardPath(store, 2));
  writeFileSync(
    shardPath(store, 2),
    bytes.map((byte, i) => (i === 50 ? byte ^ 1 : byte)),
  );
  writeFileSync(join(store.folder, "quarantine/000001.jsonl"), "torn\n");
  assert.equal(
    (await mendStore(await openStore(store))).map(({ shard }) => shard),
    [2],
  );
  assert.ok(readFileSync(join(store.folder, "journal.jsonl"), "utf8").split("\n").includes(line!));
});

test("every loop over shards hears the signal", async () => {
  const { folder } = await sealed();
  const stop = new AbortController();
  const onShard = (done: number) => done === 3 && stop.abort(new Error("enough"));
  await assert.rejects(verifyStore(await openStore({ folder }), { signal: stop.signal, onShard }), /enough/);
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(mendStore(await openStore({ folder }), { signal: aborted }), /enough/);
  await assert.rejects(sealStore(await openStore({ folder }), { signal: aborted }), /enough/);
  await assert.rejects(surveyShards(await openStore({ folder }), aborted), /enough/);
});

test("statistics take any number of parts", () => {
  const part = { count: [8], sum: [1], squares: [2], min: [-1], max: [1], nonFinite: 0 };
  function* parts() {
    for (let i = 0; i < 1_000_000; i++) yield part;
  }
  const { mean, min, max, std } = statisticsOf(parts(), 1);
  assert.equal([mean, min, max], [[1 / 8], [-1], [1]]);
  assert.close(std[0]!, Math.sqrt(2 / 8 - 1 / 64), 1e-12);
  assert.equal(createTotals(1).result(), { mean: [0], std: [0], min: [0], max: [0], nonFinite: 0 });
});

test("whoever waits for a shard or a store hears that it is gone", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  const waiting = waitForShard(store, 3, { poll: 20 });
  setTimeout(() => rmSync(store.folder, { recursive: true }), 50);
  const error = await assert.rejects(waiting, /Cannot go on waiting for shard 3 of .*: .*store.json was removed/);
  assert.ok(isStoreGone(error));
  assert.not(isStoreGone(new Error("other")));

  const run = freshFolder();
  mkdirSync(run);
  const other = waitForStore(join(run, "latents"), { poll: 20 });
  setTimeout(() => rmSync(run, { recursive: true }), 50);
  assert.ok(isStoreGone(await assert.rejects(other, /Cannot go on waiting for the store .*latents/)));

  const made = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  const patient = waitForShard(made, 0, { poll: 20 });
  setTimeout(() => fillShard(made, 0), 100);
  await patient;
});

test("failures of any number are written, sealed, verified and mended", async () => {
  const count = 150_000;
  const store = await createLatentStore({
    folder: freshFolder(),
    manifest: latentManifest({ entries: count + 8, rowsPerShard: count, shape: [1, 1, 1] }),
  });
  const failed = Array.from({ length: count }, (_, id) => ({ id, name: `${id}.png`, reason: "not an image" }));
  await writeShard(store, { shard: 0, rows: [], failed });
  const latent = new Float32Array(1);
  const rows = Array.from({ length: 8 }, (_, i) => ({ index: count + i, name: "x", latent }));
  await writeShard(store, { shard: 1, rows });
  assert.equal((await sealStore(store)).rejected, count);
  assert.equal(await verifyStore(await openStore(store)), []);
  const { rejected } = await surveyShards(await openStore(store), signal);
  assert.equal([rejected.count, rejected.first.length, rejected.reasons], [count, 500, [["not an image", count]]]);
});

test.run();

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Failure } from "../../schemas/failure.ts";
import { uniforms } from "../../schemas/numbers/philox.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import { filesAt, namesAt } from "../../store/places/files.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { mendStore } from "../../store/making/mend.ts";
import { mergeStores } from "../../store/making/merge.ts";
import { forgetOperators } from "../../store/places/operator.ts";
import { isUrl } from "../../store/places/place.ts";
import { missingShards, openStore } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { bucketUrl, environmentOf, noBucket, objectsOf, startBucket } from "./bucket-server.ts";
import { startFaultProxy } from "./fault-proxy.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("bucket");
const reason = noBucket();
const check = (name: string, body: () => Promise<void>, seconds = 60): void =>
  reason ? test.skip(name, reason) : test(name, body, { seconds });

const cache = mkdtempSync(join(tmpdir(), "onestep-cache-"));
process.on("exit", () => rmSync(cache, { recursive: true, force: true }));
process.env.ONESTEP_CACHE = cache;
const { endpoint } = reason ? { endpoint: "" } : await startBucket();
let stores = 0;
const freshUrl = (): string => bucketUrl(`store-${stores++}`);
const keyOf = (url: string): string => url.slice(bucketUrl("").length);
const fails = (id: number): boolean => id % 11 === 3;

/** The folder of a sealed store, to compare with. */
async function sealedFolder(changes = {}): Promise<string> {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(changes) });
  await fill(store, fails);
  await sealStore(store);
  return store.folder;
}

check("a sealed store in a bucket has the bytes of one in a folder, and is found sound", async () => {
  const url = freshUrl();
  const store = await createLatentStore({ folder: url, manifest: latentManifest() });
  for (const shard of [4, 0, 6, 1]) await fillShard(store, shard, fails);
  assert.equal(await verifyStore(store), []);
  const again = await createLatentStore({ folder: url, manifest: latentManifest() });
  assert.equal(await missingShards(again), [2, 3, 5]);
  for (const shard of [2, 3, 5]) await fillShard(again, shard, fails);
  await sealStore(again);
  assert.equal(await objectsOf(endpoint, keyOf(url)), contentsOf(await sealedFolder()));
  assert.equal(await verifyStore(await openStore({ folder: url })), []);
  await assert.rejects(createLatentStore({ folder: url, manifest: latentManifest({ rowsPerShard: 5 }) }), /rowsPerShard/);
});

check("creation is refused where something is, and says whether it is the same", async () => {
  for (const path of [`${freshUrl()}/note`, `${freshFolder()}/note`]) {
    const files = filesAt(path);
    const made = await Promise.all(Array.from({ length: 8 }, (_, i) => files.create(path, Buffer.from(`maker ${i}`))));
    assert.is(made.filter((each) => each === "created").length, 1);
    assert.is(made.filter((each) => each === "other").length, 7);
    const bytes = (await files.read(path)) as Uint8Array;
    assert.is(await files.create(path, bytes), "same");
    assert.is(Buffer.from((await files.read(path, { from: 6, to: 7 })) ?? []).toString(), Buffer.from(bytes).toString().slice(6));
    assert.is(await files.size(path), 7);
    await files.replace(path, "another");
    assert.equal(await namesAt(path.slice(0, -5), "no"), ["note"]);
    await files.remove(path);
    await files.remove(path);
    assert.equal([await files.size(path), await files.read(path)], [undefined, undefined]);
  }
});

check("batches from a bucket are those of a folder, bit by bit, while it is being written and again from the cache", async () => {
  const order = { seed: 3, batch: 6, window: 2, firstShards: 2, stepsPerShard: 1, toStep: 14 };
  const batchesOf = async (folder: string): Promise<unknown[]> => {
    const found: unknown[] = [];
    for await (const batch of rowBatches(await openStore({ folder }), order)) found.push(batch);
    return found;
  };
  const url = freshUrl();
  const store = await createLatentStore({ folder: url, manifest: latentManifest() });
  const reading = batchesOf(url);
  for (let shard = 0; shard < store.shards; shard++) {
    await fillShard(store, shard, fails);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await sealStore(store);
  const expected = await batchesOf(await sealedFolder());
  assert.equal(await reading, expected);
  assert.equal(await batchesOf(url), expected);
  const kept = readdirSync(join(cache, "shards"));
  assert.is(kept.length, 7);
  for (const name of kept) writeFileSync(join(cache, "shards", name), Buffer.alloc(3)); // a cache that has gone bad
  assert.equal(await batchesOf(url), expected);
});

check("a flipped byte is found, the shard made again alone, and what is written beside it mended", async () => {
  const url = freshUrl();
  const store = await createLatentStore({ folder: url, manifest: latentManifest() });
  await fill(store, fails);
  await sealStore(store);
  const before = await objectsOf(endpoint, keyOf(url));
  const path = `${url}/shards/000002.parquet`;
  const bytes = Buffer.from((await filesAt(path).read(path)) ?? []);
  bytes[200] = bytes[200]! ^ 1;
  await filesAt(path).replace(path, bytes);
  await filesAt(url).replace(`${url}/journal.jsonl`, "torn");
  const [finding] = (await mendStore(await openStore({ folder: url }))).filter(({ shard }) => shard !== undefined);
  assert.is(finding?.shard, 2);
  const opened = await createLatentStore({ folder: url, manifest: latentManifest() });
  await fillShard(opened, 2, fails); // who does not know that it is damaged leaves it
  assert.is((await verifyStore(opened)).filter(({ shard }) => shard === 2).length, 1);
  opened.remade.add(2);
  await fillShard(opened, 2, fails);
  await sealStore(opened);
  assert.equal(await objectsOf(endpoint, keyOf(url)), before);
});

check("a quarantine that a killed or unlike maker has left missing, false or over is made anew when the store is sealed", async () => {
  const expected = contentsOf(await sealedFolder());
  for (const folder of [freshUrl(), freshFolder()]) {
    const store = await createLatentStore({ folder, manifest: latentManifest() });
    await fill(store, fails);
    const files = filesAt(folder);
    await files.remove(`${folder}/quarantine/000000.jsonl`);
    await files.replace(`${folder}/quarantine/000001.jsonl`, "another's");
    await files.replace(`${folder}/quarantine/000002.jsonl`, "a stranger's");
    await sealStore(store);
    assert.equal(isUrl(folder) ? await objectsOf(endpoint, keyOf(folder)) : contentsOf(folder), expected);
  }
});

check("where another has put a shard that differs, it stays, with its own quarantine", async () => {
  const url = freshUrl();
  const store = await createLatentStore({ folder: url, manifest: latentManifest() });
  await fillShard(store, 0, fails);
  const before = await objectsOf(endpoint, keyOf(url));
  await fillShard(store, 0, (id) => id === 5);
  const after = await objectsOf(endpoint, keyOf(url));
  for (const name of ["shards/000000.parquet", "quarantine/000000.jsonl"]) assert.is(after[name], before[name]);
  assert.equal(await verifyStore(store), []);
});

check("parts in two buckets and a folder are merged to the same store", async () => {
  const whole = await sealedFolder();
  const parts = [freshUrl(), freshFolder()];
  for (const [i, folder] of parts.entries()) {
    const store = await createLatentStore({ folder, manifest: latentManifest() });
    for (let shard = i; shard < store.shards; shard += 2) await fillShard(store, shard, fails);
  }
  const to = freshUrl();
  const { store } = await mergeStores({ from: parts, to });
  await sealStore(store);
  assert.equal(await objectsOf(endpoint, keyOf(to)), contentsOf(whole));
});

check("what a user may do wrong is told in one sentence", async () => {
  const told = async (folder: string, pattern: RegExp): Promise<void> => {
    await assert.rejects(openStore({ folder }), pattern);
  };
  await told(bucketUrl("nothing"), /it has no store.json/);
  await told(bucketUrl("x").replace("bucket", "nobody"), /it has no store.json|there is no such bucket/);
  await told("ftp://bucket/x", /expected one of s3:\/\/, gs:\/\/, az:\/\//);
  await told(bucketUrl("a//b"), /a name in it is empty/);
});

/** The names of the objects of a store that are missing, over, or not as expected. */
async function unlike(url: string, expected: Record<string, string>): Promise<string[]> {
  const found = await objectsOf(endpoint, keyOf(url));
  return [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter((name) => found[name] !== expected[name]);
}

/** As one command's work, begun again by its user, each time with more patience, as often as it fails with a sentence. */
async function madeWhole(url: string, size: object): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const store = await createLatentStore({ folder: url, manifest: latentManifest(size) });
      const missing = await missingShards(store);
      const workers = Array.from({ length: 16 }, async () => {
        for (let shard = missing.shift(); shard !== undefined; shard = missing.shift()) await fillShard(store, shard, fails);
      });
      const ends = await Promise.allSettled(workers); // a command that is begun again has ended
      const failed = ends.find((end) => end.status === "rejected");
      if (failed) throw failed.reason;
      await sealStore(store);
      return;
    } catch (error) {
      if (!(error instanceof Failure) || tries > 50) throw error;
      const { ONESTEP_STORE_TIMEOUT: seconds } = process.env;
      if (!seconds) continue;
      process.env.ONESTEP_STORE_TIMEOUT = String(Math.min(10, 1.2 * Number(seconds))); // 0.4 s are little for a machine at its limit
      forgetOperators();
    }
  }
}

const many = Number(process.env.ONESTEP_BUCKET_FAULTS ?? 300);
check(
  `nothing is lost, changed or made twice through ${many} faults of the network`,
  async () => {
    const size = { entries: 60, rowsPerShard: 2 };
    const expected = contentsOf(await sealedFolder(size));
    let count = 0;
    for (let seed = 0; count < many; seed++) {
      const proxy = await startFaultProxy({ target: endpoint, share: 0.3, seed });
      Object.assign(process.env, environmentOf(proxy.endpoint), { ONESTEP_STORE_TIMEOUT: "0.4" });
      forgetOperators();
      const url = freshUrl();
      try {
        await madeWhole(url, size);
      } finally {
        proxy.close();
        delete process.env.ONESTEP_STORE_TIMEOUT;
        Object.assign(process.env, environmentOf(endpoint));
        forgetOperators();
      }
      assert.equal(await unlike(url, expected), []);
      count += Object.values(proxy.counts).reduce((sum, each) => sum + each, 0);
    }
  },
  60 + many,
);

const script = fileURLToPath(new URL("writer.ts", import.meta.url));
const kills = Number(process.env.ONESTEP_BUCKET_KILLS ?? 20);
check(
  `killed ${kills} times at random instants and started again, the bucket has the bytes of an unbroken run`,
  async () => {
    const size = { entries: 400, rowsPerShard: 2 };
    const expected = contentsOf(await sealedFolder(size));
    let url = freshUrl();
    for (let killed = 0; killed < kills; ) {
      const [delay = 0] = uniforms({ seed: 5, stream: "kills", offset: killed, length: 1 });
      const args = [...scriptWords(script), url, String(size.entries), String(size.rowsPerShard)];
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), delay * 250));
      const code = await new Promise((resolve) => child.on("close", resolve));
      if (code === null) {
        killed++;
        continue;
      }
      assert.is(code, 0);
      assert.equal(await unlike(url, expected), []);
      url = freshUrl();
    }
    await madeWhole(url, size);
    assert.equal(await unlike(url, expected), []);
  },
  60 + 15 * kills,
);

test.run();

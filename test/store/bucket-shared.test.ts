/** What several processes do at once in one place, and what goes missing there, in a bucket as in a folder. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitForShard } from "../../store/rows/follow.ts";
import { filesAt } from "../../store/places/files.ts";
import { forgetOperators } from "../../store/places/operator.ts";
import { surveyShards } from "../../stages/inspect/ends.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { openStore, readShard, shardPath } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { assert, suite } from "../harness.ts";
import { bucketUrl, environmentOf, noBucket, startBucket } from "./bucket-server.ts";
import { fill, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("shared places");
const reason = noBucket();
const cache = mkdtempSync(join(tmpdir(), "onestep-shared-"));
process.on("exit", () => rmSync(cache, { recursive: true, force: true }));
process.env.ONESTEP_CACHE = cache;
if (!reason) await startBucket();
let stores = 0;
const places = (): string[] => [freshFolder(), ...(reason ? [] : [bucketUrl(`shared-${stores++}`)])];

if (reason) test.skip("in a bucket", reason);

test("of many that make unlike stores in one place at once, those of one kind go on and all others are refused", async () => {
  for (const folder of places()) {
    const made = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => createLatentStore({ folder, manifest: latentManifest({ rowsPerShard: 4 + (i % 3) }) })),
    );
    const { manifest } = await openStore({ folder });
    for (const [i, each] of made.entries()) {
      if (each.status === "fulfilled") assert.is(4 + (i % 3), manifest.rowsPerShard);
      else assert.match((each.reason as Error).message, /Cannot go on with the store .*made with other settings \(rowsPerShard/);
    }
    assert.is(made.filter(({ status }) => status === "fulfilled").length, 4);
  }
});

test("a shard that a finished store has lost is not waited for", async () => {
  for (const folder of places()) {
    const store = await createLatentStore({ folder, manifest: latentManifest() });
    await fill(store);
    await sealStore(store);
    await filesAt(folder).remove(shardPath(store, 2));
    await waitForShard(store, 1);
    await assert.rejects(waitForShard(store, 2), /Cannot read shard 2 .* it is not there/);
  }
});

const inBucket = (name: string, body: () => Promise<void>): void => (reason ? test.skip(name, reason) : test(name, body));

inBucket("a cache of no gigabytes keeps nothing, and shards are read all the same", async () => {
  const folder = bucketUrl(`shared-${stores++}`);
  const store = await createLatentStore({ folder, manifest: latentManifest() });
  await fill(store);
  process.env.ONESTEP_CACHE_GB = "0";
  assert.is((await readShard(store, 1)).length, 8);
  delete process.env.ONESTEP_CACHE_GB;
  assert.is((await readShard(store, 2)).length, 8);
  assert.is(readdirSync(join(cache, "shards")).length, 1);
});

inBucket("the ends of shards are asked for side by side", async () => {
  const folder = bucketUrl(`shared-${stores++}`);
  const store = await createLatentStore({ folder, manifest: latentManifest({ entries: 48, rowsPerShard: 2 }) });
  await fill(store);
  const target = String(process.env.AWS_ENDPOINT_URL);
  const SIDE_BY_SIDE = 9;
  const held: (() => void)[] = []; // requests for shards, until so many have come: those that come one by one wait for ever
  let isFree = false;
  const proxy = createServer((from, to) => {
    const pass = (): void => {
      const { url, method, headers } = from;
      from.pipe(
        request(target + url, { method, headers }, (answer) => answer.pipe(to.writeHead(answer.statusCode ?? 500, answer.headers))),
      );
    };
    if (isFree || !from.url?.includes("/shards/0")) return pass();
    held.push(pass);
    isFree = held.length === SIDE_BY_SIDE;
    if (isFree) for (const each of held) each();
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  Object.assign(process.env, environmentOf(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`));
  forgetOperators();
  try {
    const { shards } = await surveyShards(await openStore({ folder }), new AbortController().signal);
    assert.equal(
      shards.map(({ state, rows }) => `${state} ${rows}`),
      Array(24).fill("sound 2"),
    );
    assert.is(held.length, SIDE_BY_SIDE);
  } finally {
    Object.assign(process.env, environmentOf(target));
    forgetOperators();
    proxy.close();
    proxy.closeAllConnections();
  }
});

test.run();

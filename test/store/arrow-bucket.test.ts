/** A store of Arrow shards in a bucket. */
import { createLatentStore } from "../../store/rows/latents.ts";
import { openStore as openForBatches } from "../../store/rows/open.ts";
import { openStore, readRows, readShard } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { noBucket, objectsOf, startBucket } from "./bucket-server.ts";
import { contentsOf, fill, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("arrow shards in a bucket");
const title = "it has the bytes of a folder's store, and its rows are read from there";
const reason = noBucket();
if (reason) test.skip(title, reason);
else {
  test(title, async () => {
    const { endpoint } = await startBucket();
    const url = "s3://bucket/arrow";
    const [folder, bucket] = await Promise.all(
      [freshFolder(), url].map(async (place) => {
        const store = await createLatentStore({ folder: place, manifest: latentManifest({ shardFormat: "arrow" }) });
        await fill(store, (id) => id % 7 === 0);
        await sealStore(store);
        return store;
      }),
    );
    assert.equal(await objectsOf(endpoint, "arrow"), contentsOf(folder!.folder));
    assert.equal(await verifyStore(await openStore(bucket!)), []);
    const again = await openStore(bucket!);
    for (const shard of [0, 6]) assert.equal(await readShard(again, shard), await readShard(folder!, shard));
    assert.equal(await readRows(again, { shard: 2, from: 1, to: 4 }), await readRows(folder!, { shard: 2, from: 1, to: 4 }));
    let rows = 0;
    for await (const batch of (await openForBatches(url)).batches()) rows += batch.numRows;
    assert.is(rows, 42);
  });
}

test.run();

/** Child process of the kill tests: makes what a store misses, and seals it. With "stays" it waits for its kill then: none misses. */
import { shardFormatOf } from "../../schemas/manifest.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { missingShards } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { fillShard, latentManifest } from "./fixture.ts";

const [folder = "", entries = "", rowsPerShard = "", format = "parquet", end = "leaves"] = process.argv.slice(2);
const manifest = latentManifest({
  entries: Number(entries),
  rowsPerShard: Number(rowsPerShard),
  ...shardFormatOf({ format: format as "arrow" }),
});
const store = await createLatentStore({ folder, manifest });
process.stdout.write("ready\n");
for (const shard of await missingShards(store)) await fillShard(store, shard, (id) => id % 11 === 3);
await sealStore(store);
if (end === "stays") await new Promise((resolve) => setTimeout(resolve, 2 ** 31 - 1));
process.stdout.write("done\n");

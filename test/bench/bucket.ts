/**
 * Writing and reading shards in a bucket beside bare opendal, in turns: MB/s and seconds of this process on a processor a GB.
 * Starts gofakes3 unless AWS_ENDPOINT_URL names a service with a bucket "bucket". `npx tsx test/bench/bucket.ts [SHARDS] [MB]`
 */
import { filesAt } from "../../store/files.ts";
import { operatorOf } from "../../store/operator.ts";
import { noBucket, startBucket } from "../store/bucket-server.ts";

async function measure(): Promise<void> {
  const [shards = 16, megabytes = 32] = process.argv.slice(2).map(Number);
  const reason = process.env.AWS_ENDPOINT_URL ? undefined : noBucket();
  if (reason) throw new Error(reason);
  if (!process.env.AWS_ENDPOINT_URL) await startBucket();
  const bytes = Buffer.alloc(megabytes * 1e6, 7);
  const gigabytes = (shards * bytes.length) / 1e9;
  const timed = async (name: string, work: (shard: number) => Promise<unknown>): Promise<void> => {
    const [start, before] = [performance.now(), process.cpuUsage()];
    for (let shard = 0; shard < shards; shard += 4) await Promise.all([0, 1, 2, 3].map((i) => work(shard + i)));
    const { user, system } = process.cpuUsage(before);
    const rate = (1000 * gigabytes) / ((performance.now() - start) / 1000);
    process.stdout.write(`${name.padEnd(16)} ${rate.toFixed(0).padStart(6)} MB/s ${((user + system) / 1e6 / gigabytes).toFixed(2)} s/GB\n`);
  };
  for (let round = 0; round < 3; round++) {
    const url = (side: string, shard: number): string => `s3://bucket/bench/${side}-${round}-${shard}`;
    const { operator } = await operatorOf(url("bare", 0), bytes.length);
    const key = (shard: number): string => url("bare", shard).slice("s3://bucket/".length);
    await timed("create, opendal", (shard) => operator.write(key(shard), bytes, { ifNotExists: true }));
    await timed("create, store", (shard) => filesAt("s3://").create(url("store", shard), bytes));
    await timed("read, opendal", (shard) => operator.read(key(shard)));
    await timed("read, store", (shard) => filesAt("s3://").read(url("store", shard)));
  }
}

await measure();
process.exit(0);

/**
 * The slow form of the stores' tests in buckets: 200 kills and 10,000 faults of the network on each stand-in of a cloud, which are
 * installed where go and npm can fetch them: `npm run test:clouds [-- NAME...]`. ONESTEP_BUCKET_KILLS and ONESTEP_BUCKET_FAULTS make it
 * shorter.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const names = process.argv.length > 2 ? process.argv.slice(2) : ["gofakes3", "versitygw", "azurite", "fake-gcs-server"];
const script = join(dirname(fileURLToPath(import.meta.url)), "store", "bucket.test.ts");
let failed = 0;
for (const name of names) {
  process.stdout.write(`${name}\n`);
  const env = { ONESTEP_BUCKET_KILLS: "200", ONESTEP_BUCKET_FAULTS: "10000", ...process.env, ONESTEP_BUCKET: name };
  const { status } = spawnSync(process.execPath, ["--import", "tsx", script], { env, stdio: "inherit" });
  if (status !== 0) failed++;
}
process.exit(failed);

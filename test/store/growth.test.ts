import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, suite } from "../harness.ts";

const test = suite("growth");

test(
  "the bench of growth runs every job by the code of a checkout",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "onestep-growth-test-"));
    try {
      const out = join(folder, "growth.json");
      const env = { ...process.env, BEFORE: ".", FOLDER: folder };
      execFileSync(process.execPath, [...process.execArgv, "test/bench/growth.ts", "quick", "--out", out], { env });
      const { rows, command } = JSON.parse(readFileSync(out, "utf8")) as { rows: Record<string, number | string>[]; command: string };
      assert.match(command, /^BEFORE=. FOLDER=.* test\/bench\/growth.ts quick --out/);
      assert.equal(
        rows.map(({ job, rows, shards }) => `${job} ${rows} ${shards}`),
        ["batches", "follow", "inspect", "verify", "evaluate", "ingest"].map((job) => `${job} 200 10`),
      );
      for (const row of rows) for (const value of Object.values(row).slice(1)) assert.ok(Number(value) > 0, JSON.stringify(row));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  { seconds: 600 },
);

test.run();

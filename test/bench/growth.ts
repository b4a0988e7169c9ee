/**
 * Prints how time and memory of what goes over all rows grow with their number and with the number of shards.
 *   node --import tsx test/bench/growth.ts                         some minutes on two cores
 *   BEFORE=../before node --import tsx test/bench/growth.ts        beside another checkout, job by job in turns
 *   node --import tsx test/bench/growth.ts quick                   one small point: that it runs
 * ONLY (batches,follow,inspect,verify,evaluate,ingest), FOLDER (in memory where there is /dev/shm); `--out FILE.json`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { makeStore, makeZip } from "./growth/made.ts";
import { openBench, rounded } from "./record.ts";

const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const { settings, words, record } = openBench({
  ONLY: "batches,follow,inspect,verify,evaluate,ingest",
  BEFORE: "",
  FOLDER: memory,
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const sides = { ...(settings.BEFORE !== "" && { before: resolve(settings.BEFORE) }), after: root };

/** Rows and shards: three of growing rows in shards of a hundred, then the most rows in few shards and in many. */
const points =
  words[0] === "quick"
    ? [[200, 10]]
    : [
        [1_000, 10],
        [10_000, 100],
        [100_000, 1_000],
        [100_000, 10],
        [100_000, 10_000],
      ];

interface Figures {
  seconds: number;
  /** Of all threads: what another load of the machine changes little. */
  processor: number;
  /** Of its resident memory, in bytes. */
  peak: number;
}

const folder = mkdtempSync(join(settings.FOLDER, "onestep-growth-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const jobs = settings.ONLY.split(",");
for (const [rows, shards] of points as [number, number][]) {
  const store = join(folder, "store");
  const zip = join(folder, "pictures.zip");
  if (jobs.some((job) => job !== "ingest")) await makeStore({ folder: store, rows, shards });
  if (jobs.includes("ingest")) makeZip({ path: zip, rows });
  for (const job of jobs) {
    const found: Partial<Record<"before" | "after", Figures>> = {};
    for (const [side, checkout] of Object.entries(sides)) {
      found[side as keyof typeof sides] = measured({
        checkout,
        job,
        source: job === "ingest" ? zip : store,
        out: join(folder, "out"),
        rows,
        shards,
      });
    }
    const cell = (value: number | undefined) => (value === undefined ? "" : rounded(value, 3));
    const { before, after } = found;
    const row = {
      ...{ job, rows, shards, "before, s": cell(before?.seconds), "after, s": cell(after?.seconds) },
      ...{ "before, processor s": cell(before?.processor), "after, processor s": cell(after?.processor) },
      "after, processor ms a row": cell(after && (1000 * after.processor) / rows),
      ...{ "before, peak MB": cell(before && before.peak / 1e6), "after, peak MB": cell(after && after.peak / 1e6) },
    };
    console.log(
      Object.entries(row)
        .map(([name, value]) => `${name} ${value}`.padEnd(20))
        .join(" "),
    );
    record(row);
  }
  for (const path of [store, zip]) rmSync(path, { recursive: true, force: true });
}

/** Does one job in a process of its own, by the code of a checkout. */
function measured(options: { checkout: string; job: string; source: string; out: string; rows: number; shards: number }): Figures {
  const { checkout, job, source, out, rows, shards } = options;
  const script = fileURLToPath(new URL("growth/job.ts", import.meta.url));
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...process.execArgv, script, checkout, job, source, out, String(rows), String(shards)],
    { encoding: "utf8", cwd: root, maxBuffer: 2 ** 26 },
  );
  rmSync(out, { recursive: true, force: true });
  if (status !== 0) throw new Error(`The job ${job} of ${rows} rows in ${shards} shards failed in ${checkout}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as Figures;
}

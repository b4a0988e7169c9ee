/**
 * Made-up stores of up to two million shards, each in a process of its own: the line of each shard in a file of its own, a task that
 * looks for what its part misses, then the store summed up as sealing does, with ends of shards that are made up as an object store
 * would answer them. Seconds and the most resident memory of each.
 *   node --import tsx test/bench/wide.ts [--out FILE.json]           SHARDS of each store, DELAY in ms of an answer, FOLDER
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { removeEntries } from "../../store/records/entries.ts";
import { journalLine } from "../../store/records/journal.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { shardDigits } from "../../store/records/layout.ts";
import { missingOwn } from "../../store/making/others.ts";
import { shareOf } from "../../store/making/share.ts";
import { summarise } from "../../store/shards/summary.ts";
import { wideEntry, wideHead, wideManifest } from "../cluster/wide-store.ts";
import { type BenchRow, openBench, rounded } from "./record.ts";

const { settings, words, record } = openBench({ SHARDS: "20000,200000,2000000", DELAY: "0", FOLDER: tmpdir() });

/** All that is measured of one store, a row for each kind of work. */
async function measure(shards: number): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const folder = mkdtempSync(join(settings.FOLDER, "onestep-wide-"));
  const told = async <Result>(work: string, act: () => Promise<Result>): Promise<Result> => {
    let most = 0;
    const look = (): void => void (most = Math.max(most, process.memoryUsage().rss));
    const watching = setInterval(look, 50);
    const began = performance.now();
    const result = await act();
    look();
    clearInterval(watching);
    rows.push({ shards, work, seconds: rounded((performance.now() - began) / 1000, 3), "peak MB": rounded(most / 1e6, 3) });
    return result;
  };
  try {
    const store = await createLatentStore({ folder, manifest: wideManifest(shards) });
    mkdirSync(join(folder, "journal"));
    for (let shard = 0; shard < shards; shard++) {
      writeFileSync(join(folder, "journal", `${shardDigits(shard)}.json`), `${journalLine(wideEntry(shard))}\n`);
    }
    const mine = await told("a task of 64 looks for its missing shards", () => missingOwn(store, shareOf({ part: "3/64" }, shards)));
    if (mine.length !== Math.ceil((shards - 3) / 64)) throw new Error(`found ${mine.length} missing shards`);
    const headOf = async (shard: number) => {
      if (Number(settings.DELAY) > 0) await setTimeout(Number(settings.DELAY));
      return wideHead(shard);
    };
    await told("summed up, as sealing does", async () => {
      const { journal, result } = summarise(store, { headOf });
      for await (const _ of journal); // what sealing writes
      if (result().summary.rows !== shards) throw new Error(`summed up ${result().summary.rows} rows`);
    });
    await told("the lines' files removed", () => removeEntries(store));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

if (words[0] !== undefined) {
  process.stdout.write(JSON.stringify(await measure(Number(words[0]))));
} else {
  for (const shards of settings.SHARDS.split(",")) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), shards], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`A store of ${shards} shards failed: ${stderr}`);
    for (const row of JSON.parse(stdout) as BenchRow[]) {
      console.log(`${row.shards} shards, ${row.work}: ${row.seconds} s, ${row["peak MB"]} MB`);
      record(row);
    }
  }
}

/**
 * A made-up store of two million shards: the line of each in a file of its own, then the store summed up as sealing does, with ends of
 * shards that are made up as an object store would answer them. Prints seconds and memory: npx tsx test/bench/wide.ts [SHARDS] [MS]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { journalLine } from "../../store/journal.ts";
import { removeEntries } from "../../store/entries.ts";
import { createLatentStore } from "../../store/latents.ts";
import { shardDigits } from "../../store/layout.ts";
import { missingOwn } from "../../store/others.ts";
import { shareOf } from "../../store/share.ts";
import { summarise } from "../../store/summary.ts";
import { wideEntry, wideHead, wideManifest } from "../cluster/wide-store.ts";

const [shards, delay] = [Number(process.argv[2] ?? 2_000_000), Number(process.argv[3] ?? 0)];
const folder = mkdtempSync(join(tmpdir(), "onestep-wide-"));
let most = 0;
const watching = setInterval(() => void (most = Math.max(most, process.memoryUsage().rss)), 50);
const told = (what: string, began: number): void =>
  console.log(
    `${what}: ${((performance.now() - began) / 1000).toFixed(1)} s, ${Math.round(Math.max(most, process.memoryUsage().rss) / 1e6)} MB`,
  );
try {
  const store = await createLatentStore({ folder, manifest: wideManifest(shards) });
  mkdirSync(join(folder, "journal"));
  for (let shard = 0; shard < shards; shard++) {
    writeFileSync(join(folder, "journal", `${shardDigits(shard)}.json`), `${journalLine(wideEntry(shard))}\n`);
  }
  console.log(`${shards} shards, a line of the journal each; ${Math.round(process.memoryUsage().rss / 1e6)} MB`);
  most = 0;

  let began = performance.now();
  const mine = await missingOwn(store, shareOf({ part: "3/64" }, shards));
  told(`a task of 64 finds the ${mine.length} missing shards of its part`, began);
  began = performance.now();
  const headOf = async (shard: number) => {
    if (delay > 0) await setTimeout(delay);
    return wideHead(shard);
  };
  const { journal, result } = summarise(store, { headOf });
  let bytes = 0;
  for await (const piece of journal) bytes += piece.length;
  const { rows, contents } = result().summary;
  told(`summed up (${rows} rows, ${contents.slice(0, 8)}), a journal of ${Math.round(bytes / 1e6)} MB`, began);
  began = performance.now();
  await removeEntries(store);
  told("the lines' files removed", began);
} finally {
  clearInterval(watching);
  rmSync(folder, { recursive: true, force: true });
}

/**
 * A made-up store of two million shards: the journal is written, then read and the store summed up as sealing does, with ends of
 * shards that are made up as an object store would answer them. Prints seconds and memory: npx tsx test/bench/wide.ts [SHARDS] [MS]
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { journalLine } from "../../store/journal.ts";
import { createLatentStore } from "../../store/latents.ts";
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
  mkdirSync(join(folder, "shards"), { recursive: true });
  const journal = await open(join(folder, "journal.jsonl"), "w");
  for (let shard = 0; shard < shards; ) {
    let text = "";
    for (const end = Math.min(shards, shard + 1000); shard < end; shard++) text += `${journalLine(wideEntry(shard))}\n`;
    await journal.write(text);
  }
  await journal.close();
  console.log(`${shards} shards, a journal of ${Math.round(statSync(join(folder, "journal.jsonl")).size / 1e6)} MB`);

  let began = performance.now();
  const mine = await missingOwn(store, shareOf({ part: "3/64" }, shards));
  told(`a task of 64 finds the ${mine.length} missing shards of its part`, began);
  began = performance.now();
  const headOf = async (shard: number) => {
    if (delay > 0) await setTimeout(delay);
    return wideHead(shard);
  };
  const { summary, journal: sealed } = await summarise(store, { headOf });
  told(`summed up (${summary.rows} rows, ${summary.contents.slice(0, 8)})`, began);
  began = performance.now();
  let bytes = 0;
  for await (const piece of sealed) bytes += piece.length;
  told(`journal of ${Math.round(bytes / 1e6)} MB in order`, began);
} finally {
  clearInterval(watching);
  rmSync(folder, { recursive: true, force: true });
}

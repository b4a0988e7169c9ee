import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isTemporary, namesIn } from "./atomic.ts";
import { readJournal } from "./journal.ts";
import { readShardMetadata } from "./shard.ts";
import { journalPath, quarantinePath, quarantineText, shardName, shardPath, type Store } from "./layout.ts";
import { examineShard } from "./read.ts";
import { journalText, readSummary, summarise, summaryPath, summaryText } from "./summary.ts";

/** Something wrong in a store, in words. `shard` is set when remaking that shard mends it. */
export interface Finding {
  file: string;
  shard?: number;
  problem: string;
}

/**
 * Checks every byte of a store: shards against their recorded hashes and rows, quarantine, journal and summary against
 * the shards. An unfinished store is sound when what it has is sound. store.json was checked when it was opened.
 * Reports through `onShard` how far it is; answers what is wrong, nothing when all is well.
 */
export async function verifyStore(
  store: Store,
  options: { signal?: AbortSignal; onShard?: (done: number) => void } = {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const present = new Set(await namesIn(join(store.folder, "shards")));
  const summary = await readSummary(store).catch((error: Error) => {
    findings.push({ file: "summary.json", problem: error.message });
    return undefined;
  });
  const journal = await readJournal(journalPath(store));
  store.journal = journal.entries;
  store.sound.clear();
  for (const line of journal.damaged) findings.push({ file: "journal.jsonl", problem: `line ${line} is damaged` });

  let complete = true;
  for (let shard = 0; shard < store.shards; shard++) {
    options.signal?.throwIfAborted();
    const file = join("shards", shardName(shard));
    if (!present.delete(shardName(shard))) {
      complete = false;
      if (summary) findings.push({ file, shard, problem: "it is missing from a finished store" });
      continue;
    }
    const { problem } = await examineShard(store, shard);
    if (problem) findings.push({ file, shard, problem });
    else if (!(await quarantineFits(store, shard))) {
      findings.push({
        file: join("quarantine", shardName(shard).replace("parquet", "jsonl")),
        shard,
        problem: "it is not what the shard says",
      });
    }
    if (!problem && !journal.entries.has(shard)) {
      findings.push({ file: "journal.jsonl", problem: `shard ${shard} has no line` });
    }
    options.onShard?.(shard + 1);
  }
  for (const name of present) {
    if (!isTemporary(name)) findings.push({ file: join("shards", name), problem: "it is no shard of this store" });
  }
  if (summary && complete && findings.length === 0) {
    const expected = await summarise(store);
    if ((await textOf(summaryPath(store))) !== summaryText(expected.summary)) {
      findings.push({ file: "summary.json", problem: "it is not what the shards say" });
    }
    if ((await textOf(journalPath(store))) !== journalText(expected.entries)) {
      findings.push({ file: "journal.jsonl", problem: "it is not what the shards say" });
    }
  }
  return findings;
}

async function quarantineFits(store: Store, shard: number): Promise<boolean> {
  const { failed = "[]" } = await readShardMetadata(shardPath(store, shard));
  return (await textOf(quarantinePath(store, shard))) === quarantineText(JSON.parse(failed));
}

async function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}

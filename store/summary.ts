/** STORE/summary.json: stands in a finished store alone, and says what it holds. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../schemas/failure.ts";
import { removeTemporaries, writeAtomic } from "./atomic.ts";
import { type JournalEntry, journalLine, readJournal } from "./journal.ts";
import { readShardMetadata } from "./shard.ts";
import { type Statistics, statisticsOf, type Sums } from "./statistics.ts";
import { sha256, textHash } from "./hash.ts";
import { journalPath, shardPath, type Store } from "./layout.ts";
import { examineShard, idsInWords } from "./read.ts";
import { missingShards } from "./store.ts";

export interface Summary {
  fingerprint: string;
  rows: number;
  rejected: number;
  shards: number;
  bytes: number;
  /** sha256 over the shards' hashes in order: the identity of the contents. */
  contents: string;
  /** Of the latents, per channel. */
  statistics: Statistics;
}

/**
 * Finishes a store that misses no shard: rewrites the journal in shard order and writes summary.json. The result is a
 * function of the shards alone, so any process may do it, again and again. Throws a Failure when shards are missing or
 * damaged, or when every entry was rejected.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { readSummary, sealStore } from "onestep/store/summary";
 * const before = await readSummary(latents);
 * await rm(`${latents.folder}/summary.json`);
 * assert.deepEqual(await sealStore(latents), before);
 */
export async function sealStore(store: Store): Promise<Summary> {
  const missing = await missingShards(store);
  if (missing.length > 0) {
    throw new Failure(
      `Cannot finish the store ${store.folder}: ${missing.length} of ${store.shards} shards are missing, the first is ${missing[0]}. ` +
        "Repeat the command that made it.",
    );
  }
  const { summary, entries } = await summarise(store);
  if (summary.rows === 0) {
    const reasons = entries.flatMap(({ failed }) => failed.map(({ reason }) => reason));
    throw new Failure(
      `Nothing is left in the store ${store.folder}: all ${summary.rejected} entries were rejected (first reason: ` +
        `${reasons[0] ?? "none given"}). See ${join(store.folder, "quarantine")}.`,
    );
  }
  await writeAtomic(journalPath(store), journalText(entries));
  await writeAtomic(summaryPath(store), summaryText(summary));
  for (const place of ["", "shards", "quarantine"]) await removeTemporaries(join(store.folder, place), { all: true });
  return summary;
}

/**
 * The summary of a finished store; undefined while it is unfinished. Throws a Failure when the file is damaged.
 *
 * @example
 * import { readSummary } from "onestep/store/summary";
 * const summary = await readSummary(latents);
 * assert.deepEqual([summary?.rows, summary?.rejected], [50, 0]);
 */
export async function readSummary(store: Store): Promise<Summary | undefined> {
  let text: string;
  try {
    text = await readFile(summaryPath(store), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { sha256: _, ...summary } = JSON.parse(text) as Summary & { sha256: string };
    if (summaryText(summary) === text && summary.fingerprint === store.fingerprint) return summary;
  } catch {
    // Not JSON: reported below, like any other damage.
  }
  throw new Failure(
    `Cannot use ${summaryPath(store)}: it is damaged. Run pipeline verify ${store.folder} --repair: it is written anew from the shards.`,
  );
}

/** What summary.json and journal.jsonl of a store with all its shards must say. */
export async function summarise(store: Store): Promise<{ summary: Summary; entries: JournalEntry[] }> {
  const journal = (await readJournal(journalPath(store))).entries;
  const entries: JournalEntry[] = [];
  const sums: Sums[] = [];
  for (let shard = 0; shard < store.shards; shard++) {
    const { entry, sums: part } = await describe(store, shard, journal.get(shard) ?? []);
    entries.push(entry);
    sums.push(part);
  }
  const total = (count: (entry: JournalEntry) => number) => entries.reduce((sum, entry) => sum + count(entry), 0);
  const summary: Summary = {
    fingerprint: store.fingerprint,
    rows: total(({ rows }) => rows),
    rejected: total(({ failed }) => failed.length),
    shards: store.shards,
    bytes: total(({ bytes }) => bytes),
    contents: textHash(entries.map(({ sha256 }) => `${sha256}\n`).join("")),
    statistics: statisticsOf(sums, store.manifest.shape[2]),
  };
  return { summary, entries };
}

export function summaryPath(store: Store): string {
  return join(store.folder, "summary.json");
}

/** The exact text of summary.json, its own hash last, so that any flipped bit shows. */
export function summaryText(summary: Summary): string {
  return `${JSON.stringify({ ...summary, sha256: textHash(JSON.stringify(summary)) }, null, 2)}\n`;
}

export function journalText(entries: JournalEntry[]): string {
  return entries.map((entry) => `${journalLine(entry)}\n`).join("");
}

/** A shard's line: the journal's own where it has one and the size agrees, else derived from the checked shard. */
async function describe(store: Store, shard: number, known: JournalEntry[]): Promise<{ entry: JournalEntry; sums: Sums }> {
  const path = shardPath(store, shard);
  const { size } = await stat(path);
  let [entry] = known.length === 1 ? known : [];
  if (entry?.bytes !== size) {
    const { rows, problem } = await examineShard(store, shard);
    if (problem) {
      throw new Failure(
        `Cannot finish the store ${store.folder}, shard ${shard} (${idsInWords(store, shard)}) is damaged: ${problem}. ` +
          "Repeat the command that made the store with --repair.",
      );
    }
    const { failed = "[]" } = await readShardMetadata(path);
    entry = {
      shard,
      rows: rows.length,
      bytes: size,
      sha256: await sha256(await readFile(path)),
      failed: JSON.parse(failed),
    };
  }
  const { sums = "" } = await readShardMetadata(path);
  return { entry, sums: JSON.parse(sums) as Sums };
}

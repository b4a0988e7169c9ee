/** Every byte of a store checked against what it must be, and mended where that needs neither teacher nor images. */
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../schemas/failure.ts";
import { isTemporary, namesIn, writeAtomic } from "./atomic.ts";
import { examineDescriptions } from "./checksums.ts";
import { sha256 } from "./hash.ts";
import { type JournalEntry, readJournal } from "./journal.ts";
import { idRange, journalPath, quarantinePath, quarantineText, shardName, shardPath, type Store } from "./layout.ts";
import { examineShard, readFailures } from "./read.ts";
import { missingShards } from "./store.ts";
import { journalText, readSummary, sealStore, summarise, summaryPath, summaryText } from "./summary.ts";

/** Something wrong in a store, in words. */
export interface Finding {
  file: string;
  /** Set when the shard must be made again. */
  shard?: number;
  /** The ids of that shard: from (inclusive) to (exclusive). */
  ids?: { from: number; to: number };
  problem: string;
  /** What mends it. */
  remedy: string;
}

const REMAKE = "repeat the command that made the store with --repair";
const REWRITE = "run pipeline verify with --repair, which writes it anew from the shards";
const REPEAT = "repeat the command that made the store, which writes it anew";
const REMOVE = "remove it";

/**
 * Checks every byte of a store: shards against their recorded hashes and rows, quarantine, journal and summary against
 * the shards, the codec and the settings beside them against theirs. An unfinished store is sound when what it has is
 * sound. store.json was checked when it was opened. Reports through `onShard` how far it is; answers what is wrong,
 * nothing when all is well.
 *
 * @example
 * import { appendLine } from "onestep/store/atomic";
 * import { verifyStore } from "onestep/store/verify";
 * assert.deepEqual(await verifyStore(latents), []);
 * await appendLine(`${latents.folder}/journal.jsonl`, "torn");
 * assert.equal((await verifyStore(latents))[0]?.problem, "line 8 is damaged");
 */
export async function verifyStore(
  store: Store,
  options: { signal?: AbortSignal; onShard?: (done: number) => void } = {},
): Promise<Finding[]> {
  const finished = existsSync(summaryPath(store)); // damaged or not, the store was finished
  store.sound.clear();
  const findings = await examineBooks(store);
  const present = new Set(await namesIn(join(store.folder, "shards")));
  const quarantined = new Set(await namesIn(join(store.folder, "quarantine")));

  let complete = true;
  for (let shard = 0; shard < store.shards; shard++) {
    options.signal?.throwIfAborted();
    const file = join("shards", shardName(shard));
    const remade = { shard, ids: idRange(store.manifest, shard), remedy: REMAKE };
    quarantined.delete(quarantineName(shard));
    if (!present.delete(shardName(shard))) {
      complete = false;
      if (finished) findings.push({ ...remade, file, problem: "it is missing from a finished store" });
      continue;
    }
    const { problem } = await examineShard(store, shard);
    if (problem) findings.push({ ...remade, file, problem });
    else {
      if (!(await quarantineFits(store, shard))) {
        const named = { file: join("quarantine", quarantineName(shard)), problem: "it is not what the shard says" };
        findings.push({ ...named, remedy: REWRITE });
      }
      if (!store.journal.has(shard)) {
        findings.push({ file: "journal.jsonl", problem: `shard ${shard} has no line`, remedy: REWRITE });
      }
    }
    options.onShard?.(shard + 1);
  }
  for (const [folder, names] of [
    ["shards", present],
    ["quarantine", quarantined],
  ] as const) {
    for (const name of names) {
      if (isTemporary(name) && !finished) continue; // work in progress
      findings.push({ file: join(folder, name), problem: "it is none of this store's files", remedy: REMOVE });
    }
  }
  if (finished && complete && findings.length === 0) {
    const expected = await summarise(store);
    for (const [path, text] of [
      [summaryPath(store), summaryText(expected.summary)],
      [journalPath(store), journalText(expected.entries)],
    ] as const) {
      if ((await textOf(path)) === text) continue;
      findings.push({ file: path.slice(store.folder.length + 1), problem: "it is not what the shards say", remedy: REWRITE });
    }
  }
  return findings;
}

/**
 * Checks all files of a store but its shards, as far as each tells by itself. Reads the journal again. Of a store that
 * is still being written, what a killed process leaves (a torn journal line) is found too.
 */
async function examineBooks(store: Store): Promise<Finding[]> {
  const findings: Finding[] = [];
  await readSummary(store).catch((error: Error) => {
    if (!(error instanceof Failure)) throw error;
    findings.push({ file: "summary.json", problem: "it is damaged", remedy: REWRITE });
  });
  const journal = await readJournal(journalPath(store));
  store.journal = journal.entries;
  for (const line of journal.damaged) {
    findings.push({ file: "journal.jsonl", problem: `line ${line} is damaged`, remedy: REWRITE });
  }
  for (const { file, problem } of (await examineDescriptions(store.folder)) ?? []) {
    findings.push({ file, problem, remedy: REPEAT });
  }
  return findings;
}

/**
 * What a reader asks of a store before its first row: that nothing beside the shards is damaged, and of a finished store
 * that nothing is missing. Throws a Failure that names the file and the remedy.
 */
export async function checkBooks(store: Store): Promise<void> {
  const finished = existsSync(summaryPath(store));
  const findings = (await examineBooks(store)).filter(({ file }) => finished || file !== "journal.jsonl");
  if (finished && findings.length === 0) {
    for (const shard of await missingShards(store)) {
      findings.push({ file: join("shards", shardName(shard)), problem: "it is missing from a finished store", remedy: REMAKE });
    }
    for (const [shard, entries] of store.journal) {
      const kept = await textOf(quarantinePath(store, shard));
      if (entries.some(({ failed }) => quarantineText(failed) === kept)) continue;
      findings.push({ file: join("quarantine", quarantineName(shard)), problem: "it is not what the journal says", remedy: REWRITE });
    }
  }
  const [first, ...others] = findings;
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more: pipeline verify names all)` : "";
  throw new Failure(`Cannot use the store ${store.folder}: ${first.file}: ${first.problem}. Remedy: ${first.remedy}${more}.`);
}

/**
 * Writes anew what the sound shards decide: journal, quarantine and, where no shard is damaged or missing, the summary.
 * Damaged shards stay until they are replaced, so nothing is lost; their recorded hashes stay in the journal. Answers
 * what only the command that made the store can mend. The store must not be written to meanwhile.
 *
 * @example
 * import { appendLine } from "onestep/store/atomic";
 * import { mendStore, verifyStore } from "onestep/store/verify";
 * await appendLine(`${latents.folder}/journal.jsonl`, "torn");
 * assert.deepEqual(await mendStore(latents), []);
 * assert.deepEqual(await verifyStore(latents), []);
 */
export async function mendStore(
  store: Store,
  options: { signal?: AbortSignal; onShard?: (done: number) => void; onFinding?: (finding: Finding) => void } = {},
): Promise<Finding[]> {
  const findings = await verifyStore(store, options);
  for (const finding of findings) options.onFinding?.(finding);
  const left = findings.filter(({ remedy }) => remedy !== REWRITE);
  if (findings.length === left.length) return left;
  const damaged = new Set(findings.flatMap(({ shard }) => shard ?? []));
  const present = new Set(await namesIn(join(store.folder, "shards")));
  const entries: JournalEntry[] = [];
  for (let shard = 0; shard < store.shards; shard++) {
    options.signal?.throwIfAborted();
    if (!present.has(shardName(shard)) || damaged.has(shard)) {
      if (damaged.has(shard)) entries.push(...(store.journal.get(shard) ?? []));
      continue;
    }
    const bytes = await readFile(shardPath(store, shard));
    const failed = await readFailures(store, shard);
    entries.push({ shard, rows: rowsOf(store, shard) - failed.length, bytes: bytes.length, sha256: await sha256(bytes), failed });
    const quarantine = quarantinePath(store, shard);
    if (failed.length > 0) await writeAtomic(quarantine, quarantineText(failed));
    else await rm(quarantine, { force: true });
  }
  await writeAtomic(journalPath(store), journalText(entries));
  store.journal = (await readJournal(journalPath(store))).entries;
  if (existsSync(summaryPath(store)) && damaged.size === 0 && present.size >= store.shards) await sealStore(store);
  return left;
}

function rowsOf(store: Store, shard: number): number {
  const { from, to } = idRange(store.manifest, shard);
  return to - from;
}

async function quarantineFits(store: Store, shard: number): Promise<boolean> {
  return (await textOf(quarantinePath(store, shard))) === quarantineText(await readFailures(store, shard));
}

function quarantineName(shard: number): string {
  return shardName(shard).replace("parquet", "jsonl");
}

async function textOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}

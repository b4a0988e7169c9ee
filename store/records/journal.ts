/**
 * What each shard must be: its line. It is written just before the shard becomes visible, so a visible shard always has one; a line
 * without a shard is work that a kill cut short. Until the store is sealed a line is a file of its own (entries.ts), then
 * STORE/journal.jsonl has all, in the order of the shards; there they may repeat and come in any order. Lines carry their own checksum.
 */
import { type FileBuffer, openBuffer } from "../places/buffers.ts";
import { checkedLine, checkedText } from "./checked-line.ts";
import { createEntries, type Entries, type Recorded } from "./recorded.ts";
import { type FailedRow, isCount, parseFailures, quarantineText } from "./failures.ts";
import { textHash } from "../places/hash.ts";
import { linesOf } from "../places/lines.ts";

export type { Recorded } from "./recorded.ts";
export type { FailedRow } from "./failures.ts";

export interface JournalEntry {
  shard: number;
  rows: number;
  bytes: number;
  sha256: string;
  failed: FailedRow[];
}

export interface DamagedLine {
  /** journal.jsonl, or the file of the line alone. */
  file: string;
  problem: string;
}

export interface Journal {
  /** By shard. Two processes that made the same shard on unlike devices leave two; either file is sound. */
  entries: Entries;
  /** Lines that are damaged or impossible: how many, and the first of them. */
  damaged: { count: number; first: DamagedLine[] };
  /** The journal.jsonl that was read, as its buffer names it: it is read again only when another stands in its place. */
  file: string;
}

/** Damaged lines that are named. */
const named = 20;

/** A journal line, without its end. */
export function journalLine({ shard, rows, bytes, sha256, failed }: JournalEntry): string {
  return checkedLine({ shard, rows, bytes, sha256, failed });
}

/** What a line must leave in memory: for comparing a line that would be written with one that was read. */
export function recordOf({ rows, bytes, sha256, failed }: Omit<JournalEntry, "shard">): Recorded {
  return { rows, bytes, sha256, failed: failed.length, quarantine: failed.length > 0 ? textHash(quarantineText(failed)) : "" };
}

/** A journal of which nothing was read yet. */
export function emptyJournal(): Journal {
  return { entries: createEntries(), damaged: { count: 0, first: [] }, file: "" };
}

/**
 * Adds to `journal` what the file at `path` says, passing over damaged lines; an absent file says nothing. It is read only where it is not
 * the one that was read before. One piece of the file is in memory at a time. Answers `journal`.
 */
export async function readJournal(path: string, journal: Journal = emptyJournal()): Promise<Journal> {
  await withJournal(path, async (file) => {
    if (file.identity !== "" && file.identity === journal.file) return;
    let line = 0;
    for await (const { bytes } of linesOf(file, { from: 0, to: file.byteLength })) {
      line++;
      const problem = bytes?.length === 0 ? undefined : take(journal.entries, bytes);
      if (problem !== undefined) noteDamage(journal, { file: "journal.jsonl", problem: `line ${line} ${problem}` });
    }
    journal.file = file.identity;
  });
  return journal;
}

/** Counts a damaged line, and names it where not many were named before. */
export function noteDamage({ damaged }: Journal, line: DamagedLine): void {
  damaged.count++;
  if (damaged.first.length < named) damaged.first.push(line);
}

/** Adds a line to the entries; answers what is wrong with it, if anything. */
export function take(entries: Journal["entries"], bytes: Buffer | undefined): string | undefined {
  const { entry, problem } = bytes ? parsed(bytes) : { entry: undefined, problem: "is longer than a shard's can be" };
  if (!entry) return problem;
  const known = entries.get(entry.shard) ?? [];
  if (!known.some(({ sha256 }) => sha256 === entry.sha256)) entries.set(entry.shard, [...known, recordOf(entry)]);
  return undefined;
}

/** A line as an entry, or what is wrong with it. */
export function parsed(line: Buffer): { entry?: JournalEntry; problem?: string } {
  const text = checkedText(line);
  if (text === undefined) return { problem: "is damaged" };
  try {
    const { shard, rows, bytes, sha256, failed } = JSON.parse(text) as Record<string, unknown>;
    for (const [key, value] of Object.entries({ shard, rows, bytes })) {
      if (!isCount(value)) return { problem: `is impossible: its ${key} is no whole number` };
    }
    if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return { problem: "is impossible: its sha256 is none" };
    const entry = { shard, rows, bytes, sha256, failed: parseFailures(failed) };
    return { entry: entry as JournalEntry };
  } catch (error) {
    return { problem: `is impossible: ${error instanceof SyntaxError ? "it is no JSON" : (error as Error).message}` };
  }
}

/** Does something with the open journal, where there is one. */
export async function withJournal(path: string, work: (file: FileBuffer) => Promise<void>): Promise<void> {
  let file: FileBuffer;
  try {
    file = await openBuffer(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  try {
    await work(file);
  } finally {
    await file.close();
  }
}

/**
 * STORE/journal.jsonl: what each shard must be. A shard's line is written just before the shard becomes visible, so a
 * visible shard always has one; a line without a shard is work that a kill cut short. Lines carry their own checksum,
 * may repeat, and may come in any order until the store is sealed.
 */
import { type FileBuffer, openBuffer } from "./buffers.ts";
import { checkedLine, checkedText } from "./checked-line.ts";
import { createEntries, type Entries, type Recorded } from "./recorded.ts";
import { type FailedRow, isCount, parseFailures, quarantineText } from "./failures.ts";
import { textHash } from "./hash.ts";
import { linesOf, tailOf } from "./lines.ts";
import { isUrl } from "./place.ts";

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
  line: number;
  problem: string;
}

export interface Journal {
  /** By shard. Two processes that made the same shard on unlike devices leave two; either file is sound. */
  entries: Entries;
  /** Whole lines (counted from 1) that are damaged or impossible: how many, and the first of them. */
  damaged: { count: number; first: DamagedLine[] };
  /** A last line without its end: torn by a kill, or being written. */
  torn?: DamagedLine;
  /** How far the file was read: what a later reading goes on from. */
  place: { file: string; lines: number; offset: number; tail: Buffer };
  /** Settles when the reading now in progress has: two at once would count lines twice. */
  turn: Promise<unknown>;
}

/** Damaged lines that are named. */
export const named = 20;

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
  const place = { file: "", lines: 0, offset: 0, tail: Buffer.alloc(0) };
  return { entries: createEntries(), damaged: { count: 0, first: [] }, place, turn: Promise.resolve() };
}

/**
 * Reads the journal at `path`, passing over damaged lines; an absent file is an empty journal. Goes on from where `journal`
 * ended, so that following a store costs what is new: all is read again only when the file shrank, was replaced (by sealing)
 * or changed before that place. One piece of the file is in memory at a time. Answers `journal`, brought up to date.
 */
export async function readJournal(path: string, journal: Journal = emptyJournal()): Promise<Journal> {
  const reading = journal.turn.then(() => update(path, journal));
  journal.turn = reading.catch(() => {}); // whoever waits for this turn reads for himself
  await reading;
  return journal;
}

async function update(path: string, journal: Journal): Promise<void> {
  let fresh = emptyJournal();
  await withJournal(path, async (file) => {
    const size = file.byteLength;
    const { place } = journal;
    const { identity } = file;
    const goesOn =
      identity !== "" && place.file === identity && size >= place.offset && (await tailOf(file, place.offset)).equals(place.tail);
    const { entries, damaged } = goesOn || isUrl(path) ? journal : fresh;
    let { lines, offset } = goesOn ? place : fresh.place;
    let torn: DamagedLine | undefined;
    for await (const { bytes, end, whole } of linesOf(file, { from: offset, to: size })) {
      const problem = bytes?.length === 0 ? undefined : take(entries, bytes);
      if (!whole) torn = problem === undefined ? undefined : { line: lines + 1, problem };
      if (!whole) break; // it is read again next time
      lines++;
      offset = end;
      if (problem === undefined) continue;
      damaged.count++;
      if (damaged.first.length < named) damaged.first.push({ line: lines, problem });
    }
    fresh = { ...fresh, entries, damaged, torn, place: { file: identity, lines, offset, tail: await tailOf(file, offset) } };
  });
  const { entries, damaged, torn, place } = fresh;
  Object.assign(journal, { entries, damaged, torn, place });
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

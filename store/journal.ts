/**
 * STORE/journal.jsonl: what each shard must be. A shard's line is written just before the shard becomes visible, so a
 * visible shard always has one; a line without a shard is work that a kill cut short. Lines carry their own checksum,
 * may repeat, and may come in any order until the store is sealed.
 */
import { stat } from "node:fs/promises";
import { crc32 } from "../schemas/numbers/crc.ts";
import { type FileBuffer, openBuffer } from "./buffers.ts";
import { filesAt } from "./files.ts";
import { type FailedRow, isCount, parseFailures, quarantineText } from "./failures.ts";
import { textHash } from "./hash.ts";
import { entriesPath, journalPath, type Store } from "./layout.ts";
import { linesOf, tailOf } from "./lines.ts";
import { isUrl, within } from "./place.ts";
import { sideBySide } from "./side-by-side.ts";

export type { FailedRow } from "./failures.ts";

export interface JournalEntry {
  shard: number;
  rows: number;
  bytes: number;
  sha256: string;
  failed: FailedRow[];
}

/** What is kept in memory of a line: the same few bytes whatever failed. */
export interface Recorded extends Omit<JournalEntry, "shard" | "failed"> {
  /** How many rows failed. */
  failed: number;
  /** sha256 of the shard's quarantine file; empty where none failed. */
  quarantine: string;
}

export interface DamagedLine {
  line: number;
  problem: string;
}

export interface Journal {
  /** By shard. Two processes that made the same shard on unlike devices leave two; either file is sound. */
  entries: Map<number, Recorded[]>;
  /** Whole lines (counted from 1) that are damaged or impossible: how many, and the first of them. */
  damaged: { count: number; first: DamagedLine[] };
  /** A last line without its end: torn by a kill, or being written. */
  torn?: DamagedLine;
  /** How far the file was read: what a later reading goes on from. */
  place: { file: string; lines: number; offset: number; tail: Buffer };
  /** Settles when the reading now in progress has: two at once would count lines twice. */
  turn: Promise<unknown>;
}

const checksumBytes = `,"crc32":"00000000"}`.length;
const named = 20; // damaged lines

/** A journal line, without its end. */
export function journalLine({ shard, rows, bytes, sha256, failed }: JournalEntry): string {
  const text = JSON.stringify({ shard, rows, bytes, sha256, failed }).slice(0, -1);
  return `${text},"crc32":"${checksumOf(Buffer.from(text))}"}`;
}

/** What a line must leave in memory: for comparing a line that would be written with one that was read. */
export function recordOf({ rows, bytes, sha256, failed }: Omit<JournalEntry, "shard">): Recorded {
  return { rows, bytes, sha256, failed: failed.length, quarantine: failed.length > 0 ? textHash(quarantineText(failed)) : "" };
}

/** A journal of which nothing was read yet. */
function emptyJournal(): Journal {
  const place = { file: "", lines: 0, offset: 0, tail: Buffer.alloc(0) };
  return { entries: new Map(), damaged: { count: 0, first: [] }, place, turn: Promise.resolve() };
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

/**
 * Brings what a store's journal says up to date: all of it, also in a bucket, where until the store is sealed every line is an
 * object of its own.
 */
export async function readWholeJournal(store: Store): Promise<Journal> {
  if (!isUrl(store.folder)) return readJournal(journalPath(store));
  const journal = emptyJournal();
  await takeEntries(store, journal, "");
  return readJournal(journalPath(store), journal); // second: sealing moves lines there before it removes their objects
}

/** Brings what the journal says of one shard up to date. */
export async function readEntriesOf(store: Store, shard: number): Promise<void> {
  if (isUrl(store.folder)) await takeEntries(store, store.journal, `${shardDigits(shard)}-`);
  if (!isUrl(store.folder) || !store.journal.entries.has(shard)) await readJournal(journalPath(store), store.journal);
}

/** Puts a journal line into a bucket as an object of its own, named by its shard and its hash: who does so again finds it there. */
export async function putEntry(store: Store, entry: JournalEntry): Promise<void> {
  const path = within(entriesPath(store), `${shardDigits(entry.shard)}-${entry.sha256.slice(0, 16)}.json`);
  if ((await filesAt(path).create(path, Buffer.from(`${journalLine(entry)}\n`))) !== "other") return;
  await filesAt(path).replace(path, `${journalLine(entry)}\n`); // it was damaged: its name says what it must hold
}

/** Removes the objects of the lines, once the journal has them. */
export async function removeEntries(store: Store): Promise<void> {
  const folder = entriesPath(store);
  await sideBySide(await filesAt(folder).list(folder), (name) => filesAt(folder).remove(within(folder, name)));
}

const shardDigits = (shard: number): string => String(shard).padStart(6, "0");

async function takeEntries(store: Store, { entries, damaged }: Journal, prefix: string): Promise<void> {
  const folder = entriesPath(store);
  await sideBySide(await filesAt(folder).list(folder, prefix), async (name) => {
    const bytes = await filesAt(folder).read(within(folder, name));
    if (!bytes) return; // sealed meanwhile: journal.jsonl has it
    const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (take(entries, line.subarray(0, line.length - 1)) === undefined) return;
    damaged.count++;
    if (damaged.first.length < named) damaged.first.push({ line: damaged.count, problem: `is damaged (journal/${name})` });
  });
}

/** The lines of a journal as they stand, of the shards that `wants` names: to keep what is recorded of damaged ones. */
export async function journalLinesOf(store: Store, wants: (shard: number) => boolean): Promise<string[]> {
  const kept: string[] = [];
  const keep = (line: Buffer | undefined): void => {
    const entry = line && parsed(line).entry;
    if (entry && wants(entry.shard)) kept.push((line as Buffer).toString());
  };
  await withJournal(journalPath(store), async (file) => {
    for await (const { bytes } of linesOf(file, { from: 0, to: file.byteLength })) keep(bytes);
  });
  if (!isUrl(store.folder)) return kept;
  const folder = entriesPath(store);
  for (const name of await filesAt(folder).list(folder)) {
    const bytes = await filesAt(folder).read(within(folder, name));
    if (bytes) keep(Buffer.from(bytes).subarray(0, bytes.length - 1));
  }
  return kept;
}

async function update(path: string, journal: Journal): Promise<void> {
  let fresh = emptyJournal();
  await withJournal(path, async (file) => {
    const size = file.byteLength;
    const { place } = journal;
    const identity = await identityOf(path);
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
function take(entries: Journal["entries"], bytes: Buffer | undefined): string | undefined {
  const { entry, problem } = bytes ? parsed(bytes) : { entry: undefined, problem: "is longer than a shard's can be" };
  if (!entry) return problem;
  const known = entries.get(entry.shard) ?? [];
  if (!known.some(({ sha256 }) => sha256 === entry.sha256)) known.push(recordOf(entry));
  entries.set(entry.shard, known);
  return undefined;
}

/** A line as an entry, or what is wrong with it. */
function parsed(line: Buffer): { entry?: JournalEntry; problem?: string } {
  const text = line.subarray(0, Math.max(0, line.length - checksumBytes));
  if (line.subarray(text.length).toString("latin1") !== `,"crc32":"${checksumOf(text)}"}`) return { problem: "is damaged" };
  try {
    const { shard, rows, bytes, sha256, failed } = JSON.parse(`${text}}`) as Record<string, unknown>;
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

function checksumOf(text: Uint8Array): string {
  return crc32(text).toString(16).padStart(8, "0");
}

/** Tells one file from another that has taken its place; empty where that cannot be told. */
async function identityOf(path: string): Promise<string> {
  if (isUrl(path)) return "";
  const { ino, dev } = await stat(path);
  return `${dev}:${ino}`;
}

/** Does something with the open journal, where there is one. */
async function withJournal(path: string, work: (file: FileBuffer) => Promise<void>): Promise<void> {
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

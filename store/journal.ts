/**
 * STORE/journal.jsonl: what each shard must be. A shard's line is written just before the shard becomes visible, so a
 * visible shard always has one; a line without a shard is work that a kill cut short. Lines carry their own checksum,
 * may repeat, and may come in any order until the store is sealed.
 */
import { readFile } from "node:fs/promises";
import { crc32 } from "../schemas/numbers/crc.ts";

/** An id for which there is no row, and why. */
export interface FailedRow {
  id: number;
  name?: string;
  reason: string;
}

export interface JournalEntry {
  shard: number;
  rows: number;
  bytes: number;
  sha256: string;
  failed: FailedRow[];
}

export interface Journal {
  /** By shard. Two processes that made the same shard on unlike devices leave two; either file is sound. */
  entries: Map<number, JournalEntry[]>;
  /** Numbers (from 1) of lines that are torn or damaged. */
  damaged: number[];
}

/** A journal line, without its end. */
export function journalLine({ shard, rows, bytes, sha256, failed }: JournalEntry): string {
  const text = JSON.stringify({ shard, rows, bytes, sha256, failed }).slice(0, -1);
  return `${text},"crc32":"${checksumOf(text)}"}`;
}

/** Reads the journal at `path`, passing over damaged lines; an absent file is an empty journal. */
export async function readJournal(path: string): Promise<Journal> {
  return parseJournal(await contentOf(path));
}

/** Parses a journal's text. */
function parseJournal(text: string): Journal {
  const journal: Journal = { entries: new Map(), damaged: [] };
  for (const [i, line] of text.split("\n").entries()) {
    if (line === "") continue;
    const entry = parseLine(line);
    if (!entry) {
      journal.damaged.push(i + 1);
      continue;
    }
    const known = journal.entries.get(entry.shard) ?? [];
    if (!known.some(({ sha256 }) => sha256 === entry.sha256)) known.push(entry);
    journal.entries.set(entry.shard, known);
  }
  return journal;
}

function parseLine(line: string): JournalEntry | undefined {
  const match = /^(.*),"crc32":"([0-9a-f]{8})"\}$/.exec(line);
  const [, text, crc] = match ?? [];
  if (text === undefined || checksumOf(text) !== crc) return undefined;
  return JSON.parse(`${text}}`) as JournalEntry;
}

function checksumOf(text: string): string {
  return crc32(Buffer.from(text)).toString(16).padStart(8, "0");
}

async function contentOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

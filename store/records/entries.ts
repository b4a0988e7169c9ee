/**
 * The journal of a store as a whole: journal.jsonl, and beside it, until the store is sealed, a file for each line that is written once,
 * so that any number of machines may write lines at once. STORE/journal/000042.json is the line of shard 42; who made the shard on a
 * device with other bits puts its own beside it, 000042-HASH16.json.
 */
import { rmdir } from "node:fs/promises";
import { removeTemporaries } from "../places/atomic.ts";
import { filesAt } from "../places/files.ts";
import {
  emptyJournal,
  type Journal,
  type JournalEntry,
  journalLine,
  noteDamage,
  parsed,
  readJournal,
  type Recorded,
  take,
  withJournal,
} from "./journal.ts";
import { entriesPath, journalPath, shardDigits, type Store } from "./layout.ts";
import { linesOf } from "../places/lines.ts";
import { isUrl, within } from "../places/place.ts";
import { forEachOf } from "../places/side-by-side.ts";

/** Names of lines' files: earlier versions gave every one its hash. */
const ENTRY = /^\d{6,15}(-[0-9a-f]{16})?\.json$/;

const nameOf = (shard: number): string => `${shardDigits(shard)}.json`;

/** Puts a journal line into a file of its own: who does so again finds it there. */
export async function putEntry(store: Store, entry: JournalEntry): Promise<void> {
  const line = Buffer.from(`${journalLine(entry)}\n`);
  const files = filesAt(store.folder);
  if ((await files.create(within(entriesPath(store), nameOf(entry.shard)), line)) !== "other") return;
  const own = within(entriesPath(store), `${shardDigits(entry.shard)}-${entry.sha256.slice(0, 16)}.json`);
  if ((await files.create(own, line)) === "other") await files.replace(own, line); // it was damaged: its name says what it must hold
}

/** All that a store's journal says now. */
export async function readWholeJournal(store: Store): Promise<Journal> {
  const journal = emptyJournal();
  await forEachOf(entryNames(store), (name) => takeEntry(store, journal, name));
  return readJournal(journalPath(store), journal); // second: sealing moves lines there before it removes their files
}

/** Brings what the journal says of one shard up to date; `all`: also of who made it on another device, or sealed it since. */
export async function readEntriesOf(store: Store, shard: number, { all }: { all: boolean }): Promise<void> {
  const { journal } = store;
  await takeEntry(store, journal, nameOf(shard));
  if (!all && journal.entries.has(shard)) return;
  await forEachOf(entryNames(store, `${shardDigits(shard)}-`), (name) => takeEntry(store, journal, name));
  await readJournal(journalPath(store), journal);
}

/**
 * What the journal says of single shards, for who asks for each once: nothing of what is asked is held. Lists the lines' files first, and
 * holds the names of those that are not the only one of their shard.
 */
export async function openRecords(store: Store): Promise<(shard: number) => Promise<readonly Recorded[]>> {
  const more = new Map<number, string[]>();
  for await (const name of entryNames(store)) {
    if (!name.includes("-")) continue;
    const shard = Number(name.split("-")[0]);
    more.set(shard, [...(more.get(shard) ?? []), name]);
  }
  const sealed = await readJournal(journalPath(store));
  return async (shard) => {
    const journal = emptyJournal();
    for (const name of [nameOf(shard), ...(more.get(shard) ?? [])]) await takeEntry(store, journal, name);
    const known = sealed.entries.get(shard) ?? [];
    const found = [...known, ...(journal.entries.get(shard) ?? []).filter(({ sha256 }) => !known.some((other) => other.sha256 === sha256))];
    if (found.length > 0) return found;
    await readJournal(journalPath(store), sealed); // another may have sealed the store meanwhile
    return sealed.entries.get(shard) ?? [];
  };
}

/** Removes the files of the lines, once journal.jsonl has them. */
export async function removeEntries(store: Store): Promise<void> {
  const folder = entriesPath(store);
  let removed: number;
  do {
    removed = 0; // some file systems pass over names while others are removed
    await forEachOf(entryNames(store), async (name) => {
      await filesAt(folder).remove(within(folder, name));
      removed++;
    });
  } while (removed > 0);
  if (isUrl(folder)) return;
  await removeTemporaries(folder, { all: true });
  await rmdir(folder).catch(() => {}); // there is none, or another process has just written there
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
  for await (const name of entryNames(store)) keep(await lineOf(store, name));
  return kept;
}

/** The names of the lines' files that begin so. */
async function* entryNames({ folder }: Pick<Store, "folder">, prefix?: string): AsyncGenerator<string> {
  for await (const name of filesAt(folder).list(entriesPath({ folder }), prefix)) if (ENTRY.test(name)) yield name;
}

/** The line that a file holds, without its end; undefined where there is none, or it was sealed meanwhile. */
async function lineOf(store: Store, name: string): Promise<Buffer | undefined> {
  const bytes = await filesAt(store.folder).read(within(entriesPath(store), name));
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, Math.max(0, bytes.byteLength - 1));
}

async function takeEntry(store: Store, journal: Journal, name: string): Promise<void> {
  const line = await lineOf(store, name);
  const problem = line && take(journal.entries, line);
  if (problem !== undefined) noteDamage(journal, { file: `journal/${name}`, problem: `it ${problem}` });
}

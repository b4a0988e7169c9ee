/** The journal of a store as a whole: one file, and in a bucket, until the store is sealed, one object a line beside it. */
import { filesAt } from "./files.ts";
import { emptyJournal, type Journal, type JournalEntry, journalLine, named, parsed, readJournal, take, withJournal } from "./journal.ts";
import { entriesPath, journalPath, shardDigits, type Store } from "./layout.ts";
import { linesOf } from "./lines.ts";
import { isUrl, within } from "./place.ts";
import { sideBySide } from "./side-by-side.ts";

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

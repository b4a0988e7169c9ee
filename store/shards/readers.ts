/**
 * Trainings that read a store while it is made. STORE/readers.json says that they are to register and what is kept; each then says in
 * STORE/readers/NAME.json how far it is, so that simulation stays near the slowest, and what all have passed may go.
 */
import { badUsage } from "../../schemas/failure.ts";
import { visible } from "../../schemas/visible.ts";
import { checkedLine, checkedText } from "../records/checked-line.ts";
import { filesAt, namesAt } from "../places/files.ts";
import { isCount } from "../records/failures.ts";
import type { Store } from "../records/layout.ts";
import { within } from "../places/place.ts";
import { removedShards } from "../records/present.ts";
import { missingShard } from "./shard-file.ts";
import { readText } from "../places/text.ts";

/** Which shards a store keeps: all, or those that a training may still read. */
export type Keeping = "all" | "unread";

/** How far a reader is. */
export interface Reading {
  /** It has asked for shards below this one. */
  asked: number;
  /** It reads none below this one again, though it go back to its checkpoint ... */
  next: number;
  /** ... but for those below this one: pictures and distances look at the first rows. */
  pinned: number;
}

/** A reader as others know it. */
export interface KnownReader {
  /** Hexadecimal digits, which it keeps when it is started again. */
  name: string;
  /** What its training writes, for people; unknown of a reader that did not say so. */
  out?: string;
  reading: Reading;
}

const NONE: Reading = { asked: 0, next: 0, pinned: 0 };

const markPath = ({ folder }: Pick<Store, "folder">): string => within(folder, "readers.json");

/**
 * What a store keeps, as its last maker said; undefined where its readers need not register.
 *
 * @example
 * import { askToRegister, keepingOf } from "./readers.ts";
 * assert.equal(await keepingOf(latents), undefined);
 * await askToRegister(latents, "unread");
 * assert.equal(await keepingOf(latents), "unread");
 */
export async function keepingOf(store: Pick<Store, "folder">): Promise<Keeping | undefined> {
  const text = await readText(markPath(store));
  if (text === undefined) return undefined;
  return text === markText("unread") ? "unread" : "all";
}

const markText = (keep: Keeping): string => `${JSON.stringify({ keep })}\n`;

/**
 * Asks the readers of a store to register, and says what is kept.
 *
 * @example
 * import { askToRegister, openReader, readersOf } from "./readers.ts";
 * await askToRegister(latents, "all");
 * await openReader(latents, { name: "a1", pinned: 0, from: 0 }).asks(2);
 * assert.equal((await readersOf(latents)).length, 1);
 */
export async function askToRegister(store: Pick<Store, "folder">, keep: Keeping): Promise<void> {
  if ((await keepingOf(store)) !== keep) await filesAt(store.folder).replace(markPath(store), markText(keep));
}

/** All registered readers by name; one that cannot be understood may be anywhere. */
export async function readersOf({ folder }: Pick<Store, "folder">): Promise<KnownReader[]> {
  const home = within(folder, "readers");
  const names = (await namesAt(home)).filter((name) => /^[0-9a-f]+\.json$/.test(name));
  return Promise.all(
    names.map(async (name) => ({ name: name.replace(/\.json$/, ""), ...readingOf(await filesAt(home).read(within(home, name))) })),
  );
}

/**
 * A reader in words that tell its training: "b4ae8cc3 (s3://data/student)".
 *
 * @example
 * import { readerInWords } from "./readers.ts";
 * assert.equal(readerInWords({ name: "a1", out: "student" }), "a1 (student)");
 */
export function readerInWords({ name, out }: Pick<KnownReader, "name" | "out">): string {
  return out === undefined ? name : `${name} (${visible(out)})`;
}

/**
 * Forgets a reader that will not go on, so that nobody waits for it and what it has not read may go. Throws a usage failure that names the
 * readers there are.
 *
 * @example
 * import { askToRegister, forgetReader, openReader, readersOf } from "./readers.ts";
 * await askToRegister(latents, "all");
 * await openReader(latents, { name: "a1", pinned: 0, from: 0 }).asks(2);
 * await forgetReader(latents, "a1");
 * assert.deepEqual(await readersOf(latents), []);
 */
export async function forgetReader(store: Pick<Store, "folder">, name: string): Promise<void> {
  const readers = await readersOf(store);
  if (!readers.some((reader) => reader.name === name)) {
    const expected = readers.length > 0 ? `expected one of ${readers.map(readerInWords).join(", ")}` : "no training has registered there";
    throw badUsage(`Cannot forget the reader "${name}" of ${store.folder}: ${expected}`);
  }
  const path = within(store.folder, "readers", `${name}.json`);
  await filesAt(path).remove(path);
}

function readingOf(bytes: Uint8Array | undefined): Omit<KnownReader, "name"> {
  const text = bytes && checkedText(Buffer.from(bytes).subarray(0, -1));
  const { asked, next, pinned, out } = (text === undefined ? NONE : JSON.parse(text)) as Reading & { out?: unknown };
  const reading = [asked, next, pinned].every(isCount) ? { asked, next, pinned } : NONE;
  return { ...(typeof out === "string" && { out }), reading };
}

/**
 * Whether a reader has read all that it ever will: what it says when it ends.
 *
 * @example
 * import { askToRegister, hasEnded, openReader, readersOf } from "./readers.ts";
 * await askToRegister(latents, "all");
 * const reader = openReader(latents, { name: "a1", pinned: 0, from: 0 });
 * await reader.asks(latents.shards);
 * const [before] = await readersOf(latents);
 * await reader.ends();
 * const [after] = await readersOf(latents);
 * assert.deepEqual([before, after].map((each) => each && hasEnded(latents, each)), [false, true]);
 */
export function hasEnded({ shards }: Pick<Store, "shards">, { reading: { asked, next } }: Pick<KnownReader, "reading">): boolean {
  return asked >= shards && next >= shards;
}

/** The shards that nobody reads again: from the last that a reader looks back at up to where the slowest checkpoint is. */
export async function keptFor(store: Pick<Store, "folder">): Promise<{ from: number; to: number }> {
  if ((await keepingOf(store)) !== "unread") return { from: 0, to: 0 };
  const readings = (await readersOf(store)).map(({ reading }) => reading);
  if (readings.length === 0) return { from: 0, to: 0 };
  return { from: Math.max(...readings.map(({ pinned }) => pinned)), to: Math.min(...readings.map(({ next }) => next)) };
}

/** A registered reader. Each call that has something new to say writes it before it resolves. */
export interface RegisteredReader {
  /** It is about to read shards below this one. */
  asks: (below: number) => Promise<void>;
  /** Its checkpoint has passed all shards below this one. */
  passed: (below: number) => Promise<void>;
  /** It reads no more. */
  ends: () => Promise<void>;
}

/**
 * A reader of a store under a name of hexadecimal digits that it keeps when it is started again; `out` says whose it is. It registers
 * with its first word, where the store asks for that. It begins at shard `from`, and never says that it has passed more than it said
 * before. Where what it would read was removed, its first word throws a Failure, and nobody waits for it.
 *
 * @example
 * import { askToRegister, openReader, readersOf } from "./readers.ts";
 * await askToRegister(latents, "unread");
 * await openReader(latents, { name: "a1", pinned: 1, from: 0 }).asks(4);
 * assert.deepEqual(await readersOf(latents), [{ name: "a1", reading: { asked: 4, next: 0, pinned: 1 } }]);
 */
export function openReader(
  store: Store,
  { name, out, pinned, from }: { name: string; out?: string; pinned: number; from: number },
): RegisteredReader {
  const path = within(store.folder, "readers", `${name}.json`);
  const files = filesAt(path);
  let known: Reading | undefined;
  let said: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  async function say(change: Partial<Reading>): Promise<void> {
    if (!known) {
      if ((await keepingOf(store)) === undefined) return;
      known = await register();
    }
    const { asked, next } = { ...known, ...change };
    await tell({ asked: Math.max(asked, known.asked), next: Math.max(next, known.next), pinned });
  }
  async function tell(reading: Reading): Promise<void> {
    const text = `${checkedLine({ ...reading, ...(out !== undefined && { out }) })}\n`;
    if (text !== said) await files.replace(path, text);
    [known, said] = [reading, text];
  }
  /** From then on nothing is removed that it will read; what was removed before is looked for afterwards, and its word taken back. */
  async function register(): Promise<Reading> {
    const before = await files.read(path);
    const { next } = readingOf(before).reading; // of its last checkpoint but one, which it may have to go back to
    const reading = { asked: pinned, next: Math.min(next, from), pinned };
    await tell(reading);
    const lost = (await removedShards(store)).find((shard) => shard >= from || shard < pinned);
    if (lost === undefined) return reading;
    [known, said] = [undefined, undefined];
    await (before ? files.replace(path, before) : files.remove(path));
    throw await missingShard(store, lost);
  }
  const inTurn = (change: Partial<Reading>): Promise<void> => {
    const mine = turn.then(() => say(change));
    turn = mine.catch(() => {});
    return mine;
  };
  const { shards } = store;
  return { asks: (asked) => inTurn({ asked }), passed: (next) => inTurn({ next }), ends: () => inTurn({ asked: shards, next: shards }) };
}

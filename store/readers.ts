/**
 * Trainings that read a store while it is made. STORE/readers.json says that they are to register and what is kept; each then says in
 * STORE/readers/NAME.json how far it is, so that simulation stays near the slowest, and what all have passed may go.
 */
import { badUsage } from "../schemas/failure.ts";
import { checkedLine, checkedText } from "./checked-line.ts";
import { filesAt, namesAt } from "./files.ts";
import { isCount } from "./failures.ts";
import type { Store } from "./layout.ts";
import { within } from "./place.ts";
import { readText } from "./text.ts";

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
export async function readersOf({ folder }: Pick<Store, "folder">): Promise<{ name: string; reading: Reading }[]> {
  const home = within(folder, "readers");
  const names = (await namesAt(home)).filter((name) => /^[0-9a-f]+\.json$/.test(name));
  return Promise.all(names.map(async (name) => ({ name, reading: readingOf(await filesAt(home).read(within(home, name))) })));
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
  const names = (await readersOf(store)).map((reader) => reader.name.replace(/\.json$/, ""));
  if (!names.includes(name)) {
    const expected = names.length > 0 ? `expected one of ${names.join(", ")}` : "no training has registered there";
    throw badUsage(`Cannot forget the reader "${name}" of ${store.folder}: ${expected}`);
  }
  const path = within(store.folder, "readers", `${name}.json`);
  await filesAt(path).remove(path);
}

function readingOf(bytes: Uint8Array | undefined): Reading {
  const text = bytes && checkedText(Buffer.from(bytes).subarray(0, -1));
  const { asked, next, pinned } = (text === undefined ? NONE : JSON.parse(text)) as Reading;
  return [asked, next, pinned].every(isCount) ? { asked, next, pinned } : NONE;
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
}

/**
 * A reader of a store under a name of hexadecimal digits that it keeps when it is started again. It registers with its first word, where
 * the store asks for that. It begins at shard `from`, and never says that it has passed more than it said before.
 *
 * @example
 * import { askToRegister, openReader, readersOf } from "./readers.ts";
 * await askToRegister(latents, "unread");
 * await openReader(latents, { name: "a1", pinned: 1, from: 0 }).asks(4);
 * assert.deepEqual(await readersOf(latents), [{ name: "a1.json", reading: { asked: 4, next: 0, pinned: 1 } }]);
 */
export function openReader(
  store: Pick<Store, "folder">,
  { name, pinned, from }: { name: string; pinned: number; from: number },
): RegisteredReader {
  const path = within(store.folder, "readers", `${name}.json`);
  const files = filesAt(path);
  let known: Reading | undefined;
  let said: string | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  async function say(change: Partial<Reading>): Promise<void> {
    if (!known) {
      if ((await keepingOf(store)) === undefined) return;
      const { next } = readingOf(await files.read(path)); // of its last checkpoint but one, which it may have to go back to
      known = { asked: pinned, next: Math.min(next, from), pinned };
    }
    const { asked, next } = { ...known, ...change };
    const reading = { asked: Math.max(asked, known.asked), next: Math.max(next, known.next), pinned };
    const text = `${checkedLine(reading)}\n`;
    if (text !== said) await files.replace(path, text);
    [known, said] = [reading, text];
  }
  const inTurn = (change: Partial<Reading>): Promise<void> => {
    const mine = turn.then(() => say(change));
    turn = mine.catch(() => {});
    return mine;
  };
  return { asks: (asked) => inTurn({ asked }), passed: (next) => inTurn({ next }) };
}

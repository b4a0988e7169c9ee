/** What a journal says of each shard, in a few bytes each: a store of millions of shards is held by whoever seals or verifies it. */

/** What is kept in memory of a journal's line: the same few bytes whatever failed. */
export interface Recorded {
  rows: number;
  bytes: number;
  sha256: string;
  /** How many rows failed. */
  failed: number;
  /** sha256 of the shard's quarantine file; empty where none failed. */
  quarantine: string;
}

/** As a Map from a shard to its entries, of which nearly all have one. */
export interface Entries {
  get: (shard: number) => readonly Recorded[] | undefined;
  has: (shard: number) => boolean;
  set: (shard: number, entries: readonly Recorded[]) => void;
  keys: () => IterableIterator<number>;
  /** How many shards have entries. */
  readonly size: number;
  [Symbol.iterator]: () => IterableIterator<[number, readonly Recorded[]]>;
}

/** Shards side by side in memory. Few, since a journal may name any number, and a page is made for each that it names. */
const PAGE = 64;

/** Of a shard: its file's hash, size and rows. */
const HASH = 32;
const ENTRY = HASH + 8 + 4;

/**
 * Nothing yet. What does not fit (several entries of a shard, failures) is kept aside as it is.
 *
 * @example
 * import { createEntries } from "./recorded.ts";
 * const entries = createEntries();
 * const entry = { rows: 8, bytes: 4096, sha256: "ab".repeat(32), failed: 0, quarantine: "" };
 * entries.set(42, [entry]);
 * assert.deepEqual([...entries], [[42, [entry]]]);
 */
export function createEntries(): Entries {
  const pages = new Map<number, { held: Uint8Array; bytes: Buffer }>();
  const aside = new Map<number, readonly Recorded[]>();
  let paged = 0;

  const get = (shard: number): readonly Recorded[] | undefined => {
    const page = pages.get(Math.floor(shard / PAGE));
    if (!page?.held[shard % PAGE]) return aside.get(shard);
    const at = (shard % PAGE) * ENTRY;
    const sha256 = page.bytes.toString("hex", at, at + HASH);
    const [bytes, rows] = [page.bytes.readDoubleLE(at + HASH), page.bytes.readUInt32LE(at + HASH + 8)];
    return [{ rows, bytes, sha256, failed: 0, quarantine: "" }];
  };
  function* keys(): IterableIterator<number> {
    for (const [page, { held }] of pages) for (let i = 0; i < PAGE; i++) if (held[i]) yield page * PAGE + i;
    yield* aside.keys();
  }
  return {
    ...{ get, keys },
    get size() {
      return paged + aside.size;
    },
    has: (shard) => get(shard) !== undefined,
    set: (shard, entries) => {
      const [entry] = entries;
      const number = Math.floor(shard / PAGE);
      let page = pages.get(number);
      if (!entry || entries.length > 1 || entry.failed > 0 || entry.rows >= 2 ** 32) {
        if (page?.held[shard % PAGE]) {
          page.held[shard % PAGE] = 0;
          paged--;
        }
        aside.set(shard, entries);
        return;
      }
      if (!page) pages.set(number, (page = { held: new Uint8Array(PAGE), bytes: Buffer.alloc(PAGE * ENTRY) }));
      const at = (shard % PAGE) * ENTRY;
      page.bytes.write(entry.sha256, at, "hex");
      page.bytes.writeDoubleLE(entry.bytes, at + HASH);
      page.bytes.writeUInt32LE(entry.rows, at + HASH + 8);
      if (!page.held[shard % PAGE]) paged++;
      page.held[shard % PAGE] = 1;
      aside.delete(shard);
    },
    *[Symbol.iterator]() {
      for (const shard of keys()) yield [shard, get(shard) as readonly Recorded[]];
    },
  };
}

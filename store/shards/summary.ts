/** STORE/summary.json: stands in a finished store alone, and says what it holds. */
import { createHash } from "node:crypto";
import { Failure } from "../../schemas/failure.ts";
import { openRecords, removeEntries } from "../records/entries.ts";
import { examineShard } from "./examine.ts";
import { filesAt } from "../places/files.ts";
import { inOrder } from "../places/in-order.ts";
import { textHash } from "../places/hash.ts";
import { journalLine } from "../records/journal.ts";
import { journalPath, quarantineName, type Store } from "../records/layout.ts";
import { removeLeftovers } from "../records/leftovers.ts";
import { within } from "../places/place.ts";
import { countMissing } from "../records/present.ts";
import { mendQuarantine, quarantinesOf } from "../records/quarantine.ts";
import { readEnd, type ShardEnd } from "./removed.ts";
import { idsInWords } from "./shard-file.ts";
import { createTotals, type Statistics } from "../records/statistics.ts";
import { readText } from "../places/text.ts";

export interface Summary {
  fingerprint: string;
  rows: number;
  rejected: number;
  shards: number;
  bytes: number;
  /** sha256 over the shards' hashes in order: the identity of the contents. */
  contents: string;
  /** Of the latents, per channel. */
  statistics: Statistics;
}

/**
 * Finishes a store that misses no shard: rewrites the journal in shard order and writes summary.json. The result is a
 * function of the shards alone, so any process may do it, again and again. Throws a Failure when shards are missing or
 * damaged, or when every entry was rejected.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { readSummary, sealStore } from "onestep/store";
 * const before = await readSummary(latents);
 * await rm(`${latents.folder}/summary.json`);
 * assert.deepEqual(await sealStore(latents), before);
 */
export async function sealStore(store: Store, options: { signal?: AbortSignal } = {}): Promise<Summary> {
  const { missing, first } = await countMissing(store);
  if (missing > 0) {
    throw new Failure(
      `Cannot finish the store ${store.folder}: ${missing} of ${store.shards} shards are missing, the first is ${first}. ` +
        "Repeat the command that made it.",
    );
  }
  const { journal, result } = summarise(store, { ...options, headOf: await headsWithQuarantine(store) });
  const files = filesAt(store.folder);
  await files.replace(journalPath(store), journal);
  const { summary, reason } = result();
  if (summary.rows === 0) {
    throw new Failure(
      `Nothing is left in the store ${store.folder}: all ${summary.rejected} entries were rejected (first reason: ` +
        `${reason ?? "none given"}). See ${within(store.folder, "quarantine")}.`,
    );
  }
  await removeEntries(store);
  await removeLeftovers(store, { all: true });
  await files.replace(summaryPath(store), summaryText(summary)); // last: a finished store has nothing to be tidied
  return summary;
}

/**
 * The summary of a finished store; undefined while it is unfinished. Throws a Failure when the file is damaged.
 *
 * @example
 * import { readSummary } from "onestep/store";
 * const summary = await readSummary(latents);
 * assert.deepEqual([summary?.rows, summary?.rejected], [50, 0]);
 */
export async function readSummary(store: Store): Promise<Summary | undefined> {
  const text = await readText(summaryPath(store));
  if (text === undefined) return undefined;
  try {
    const { sha256: _, ...summary } = JSON.parse(text) as Summary & { sha256: string };
    if (summaryText(summary) === text && summary.fingerprint === store.fingerprint) return summary;
  } catch {
    // Not JSON: reported below, like any other damage.
  }
  throw new Failure(
    `Cannot use ${summaryPath(store)}: it is damaged. Run pipeline verify ${store.folder} --repair: it is written anew from the shards.`,
  );
}

type HeadOf = (shard: number) => Promise<ShardEnd>;

/**
 * What journal.jsonl and summary.json of a store with all its shards must say: `journal` is the one's text in pieces, made anew each
 * time, and once it was read to its end `result` answers the other, and the first reason of a failure. The ends of some shards are read
 * at once (`headOf`), and nothing of them is held.
 */
export function summarise(
  store: Store,
  { signal, headOf = (shard) => readEnd(store, shard) }: { signal?: AbortSignal; headOf?: HeadOf } = {},
): { journal: AsyncIterable<Uint8Array>; result: () => { summary: Summary; reason?: string } } {
  let found: { summary: Summary; reason?: string } | undefined;

  async function* journal(): AsyncGenerator<Uint8Array> {
    const totals = createTotals(store.manifest.shape[2]);
    const contents = createHash("sha256");
    const counts = { rows: 0, rejected: 0, bytes: 0 };
    let reason: string | undefined;
    const recordsOf = await openRecords(store);
    const ask = async (shard: number) => {
      const [end, recorded] = await Promise.all([headOf(shard), recordsOf(shard)]);
      return { ...end, recorded };
    };
    let text = "";
    let shard = 0;
    for await (const { rows, failed, sums, bytes, sha256: kept, recorded } of inOrder(store.shards, ask, signal)) {
      const [only, other] = recorded;
      const sha256 = kept ?? (only && !other && only.bytes === bytes ? only.sha256 : await hashOf(store, shard));
      totals.add(sums);
      contents.update(`${sha256}\n`);
      counts.rows += rows;
      counts.rejected += failed.length;
      counts.bytes += bytes;
      reason ??= failed[0]?.reason;
      text += `${journalLine({ shard, rows, bytes, sha256, failed })}\n`;
      shard++;
      if (text.length < 2 ** 16) continue;
      yield Buffer.from(text);
      text = "";
    }
    yield Buffer.from(text);
    const { rows, rejected, bytes } = counts;
    const summary: Summary = {
      ...{ fingerprint: store.fingerprint, rows, rejected, shards: store.shards, bytes },
      contents: contents.digest("hex"),
      statistics: totals.result(),
    };
    found = { summary, ...(reason !== undefined && { reason }) };
  }

  return {
    journal: { [Symbol.asyncIterator]: journal },
    result: () => {
      if (!found) throw new Error("the journal was not read to its end");
      return found;
    },
  };
}

/** Reads the ends of shards, and makes the quarantine of each what it says: it may be of an unlike device. */
async function headsWithQuarantine(store: Store): Promise<HeadOf> {
  const quarantined = await quarantinesOf(store);
  return async (shard) => {
    const head = await readEnd(store, shard);
    if (head.failed.length > 0 || quarantined.has(quarantineName(shard))) {
      await mendQuarantine(store, { shard, failed: head.failed, quarantined });
    }
    return head;
  };
}

/** Whether a store was finished: it has a summary, sound or damaged. */
export async function isFinished(store: Store): Promise<boolean> {
  return (await filesAt(store.folder).size(summaryPath(store))) !== undefined;
}

/** STORE/summary.json, which a finished store alone has. */
export function summaryPath(store: Store): string {
  return within(store.folder, "summary.json");
}

/** The exact text of summary.json, its own hash last, so that any flipped bit shows. */
export function summaryText(summary: Summary): string {
  return `${JSON.stringify({ ...summary, sha256: textHash(JSON.stringify(summary)) }, null, 2)}\n`;
}

/** The hash of a shard of which the journal has no line that fits: that of its checked bytes. */
async function hashOf(store: Store, shard: number): Promise<string> {
  store.sound.delete(shard);
  const examined = await examineShard(store, shard);
  if (examined.problem === undefined) return examined.sha256;
  throw new Failure(
    `Cannot finish the store ${store.folder}, shard ${shard} (${idsInWords(store, shard)}) is damaged: ${examined.problem}. ` +
      "Repeat the command that made the store with --repair.",
  );
}

/** What of a damaged store can be written anew without teacher or images. */
import { filesAt } from "../places/files.ts";
import { type Finding, REWRITE } from "../records/finding.ts";
import { journalLinesOf, readWholeJournal, removeEntries } from "../records/entries.ts";
import { journalLine } from "../records/journal.ts";
import { journalPath, type Store } from "../records/layout.ts";
import { mendQuarantine, quarantinesOf } from "../records/quarantine.ts";
import { readEnd } from "../shards/removed.ts";
import { isFinished, sealStore } from "../shards/summary.ts";
import { examineStore, type VerifyOptions, verifyStore } from "./verify.ts";

/**
 * Writes anew what the sound shards decide: journal, quarantine and, where no shard is damaged or missing, the summary.
 * Damaged shards stay until they are replaced, so nothing is lost; their recorded hashes stay in the journal. Then verifies
 * again, and answers what is left: what only the command that made the store can mend. `onFinding` hears what was wrong
 * before. The store must not be written to meanwhile.
 *
 * @example
 * import { appendLine } from "../places/append-line.ts";
 * import { mendStore } from "./mend.ts";
 * import { verifyStore } from "onestep/store";
 * await appendLine(`${latents.folder}/journal.jsonl`, "torn");
 * assert.deepEqual(await mendStore(latents), []);
 * assert.deepEqual(await verifyStore(latents), []);
 */
export async function mendStore(
  store: Store,
  options: VerifyOptions & { onFinding?: (finding: Finding) => void } = {},
): Promise<Finding[]> {
  const { findings, sound } = await examineStore(store, options);
  for (const finding of findings) options.onFinding?.(finding);
  if (!findings.some(({ remedy }) => remedy === REWRITE)) return findings;
  const files = filesAt(store.folder);
  const quarantined = await quarantinesOf(store);
  for (const shard of sound.keys()) {
    options.signal?.throwIfAborted();
    const { failed } = await readEnd(store, shard);
    await mendQuarantine(store, { shard, failed, quarantined });
  }
  const finished = await isFinished(store);
  const isLost = (shard: number) => shard < store.shards && !sound.has(shard);
  const lost = findings.some(({ shard }) => shard !== undefined) ? await journalLinesOf(store, isLost) : [];
  const pieces = { [Symbol.asyncIterator]: () => journalOf(store, { sound, lost, signal: options.signal }) };
  await files.replace(journalPath(store), pieces);
  await removeEntries(store);
  store.journal = await readWholeJournal(store);
  if (finished && sound.size === store.shards) await sealStore(store, options);
  return verifyStore(store, options);
}

/** The journal that sound shards give, in their order, and after them what was recorded of damaged ones. */
async function* journalOf(
  store: Store,
  { sound, lost, signal }: { sound: ReadonlyMap<number, string>; lost: readonly string[]; signal?: AbortSignal },
): AsyncGenerator<Uint8Array> {
  for (const [shard, sha256] of [...sound].sort(([a], [b]) => a - b)) {
    signal?.throwIfAborted();
    const { rows, bytes, failed } = await readEnd(store, shard);
    yield Buffer.from(`${journalLine({ shard, rows, bytes, sha256, failed })}\n`);
  }
  for (const line of lost) yield Buffer.from(`${line}\n`);
}

/** Every byte of a store checked against what it must be. */
import { join } from "node:path";
import { isFailure } from "../../schemas/failure.ts";
import { isLitterName } from "../../schemas/litter.ts";
import { isTemporary } from "../places/atomic.ts";
import { examineBooks, missingOf } from "../shards/books.ts";
import { piecesOf } from "../places/buffers.ts";
import { examineShard, type Sound } from "../shards/examine.ts";
import { namesAt } from "../places/files.ts";
import { type Finding, REMAKE, REMOVE, REWRITE } from "../records/finding.ts";
import { sha256Pieces } from "../places/hash.ts";
import { recordOf } from "../records/journal.ts";
import { idRange, journalPath, quarantineName, shardDigits, shardName, type Store } from "../records/layout.ts";
import { within } from "../places/place.ts";
import { presentShards, removedShards, shardOf, union, without } from "../records/present.ts";
import { quarantineFits, quarantinesOf } from "../records/quarantine.ts";
import { readRemoved } from "../shards/removed.ts";
import { isFinished, summarise, summaryPath, summaryText } from "../shards/summary.ts";
import { readText } from "../places/text.ts";

export interface VerifyOptions {
  signal?: AbortSignal;
  /** Hears the number of the shard after each that was read. */
  onShard?: (done: number) => void;
}

/**
 * Checks every byte of a store: shards against their recorded hashes, what they say of themselves and rows; quarantine,
 * journal and summary against the shards; the codec and the settings beside them against theirs. An unfinished store is sound
 * when what it has is sound. store.json was checked when it was opened. Follows the files that are there. Reports through
 * `onShard` how far it is; answers what is wrong, nothing when all is well.
 *
 * @example
 * import { appendLine } from "../places/append-line.ts";
 * import { verifyStore } from "onestep/store";
 * assert.deepEqual(await verifyStore(latents), []);
 * await appendLine(`${latents.folder}/journal.jsonl`, "torn");
 * assert.equal((await verifyStore(latents))[0]?.problem, "line 8 is damaged");
 */
export async function verifyStore(store: Store, options: VerifyOptions = {}): Promise<Finding[]> {
  return (await examineStore(store, options)).findings;
}

/** What is wrong with a store, and of the shards that are sound, or were removed, their hashes by number. */
export async function examineStore(store: Store, options: VerifyOptions): Promise<{ findings: Finding[]; sound: Map<number, string> }> {
  const finished = await isFinished(store); // damaged or not, the store was finished
  store.sound.clear();
  const findings = await examineBooks(store);
  const present = await presentShards(store);
  const quarantined = await quarantinesOf(store);
  const removed = await removedShards(store);
  if (finished) findings.push(...missingOf(store, union(present, removed)));

  const sound = new Map<number, string>();
  for (const shard of without(removed, present)) {
    const examined = await examineRemoved(store, shard);
    if ("problem" in examined) findings.push(examined);
    else sound.set(shard, examined.sha256);
  }
  for (const shard of present) {
    options.signal?.throwIfAborted();
    const examined = await examineShard(store, shard);
    if (examined.problem !== undefined) {
      const { problem } = examined;
      findings.push({ shard, ids: idRange(store.manifest, shard), file: join("shards", shardName(store, shard)), problem, remedy: REMAKE });
    } else {
      sound.set(shard, examined.sha256);
      findings.push(...(await recordsOf(store, shard, { examined, quarantined })));
    }
    options.onShard?.(shard + 1);
  }
  findings.push(...(await strangers(store, { present, quarantined, finished })));
  if (finished && findings.length === 0) findings.push(...(await falseBooks(store, options)));
  return { findings, sound };
}

/** The hash of a removed shard; what is wrong where what was kept of it is damaged, or is not what the journal says. */
async function examineRemoved(store: Store, shard: number): Promise<{ sha256: string } | Finding> {
  const kept = await readRemoved(store, shard).catch((error) => {
    if (!isFailure(error)) throw error;
  });
  const recorded = store.journal.entries.get(shard);
  const isRecorded = kept && (!recorded || recorded.some((entry) => JSON.stringify(entry) === JSON.stringify(recordOf(kept))));
  if (kept && isRecorded) return { sha256: kept.sha256 };
  const problem = kept ? "it is not what the journal says" : "it is damaged";
  const file = join("removed", `${shardDigits(shard)}.json`);
  return { shard, ids: idRange(store.manifest, shard), file, problem, remedy: REMAKE };
}

/** What the quarantine and the journal say of a sound shard and it does not. */
async function recordsOf(
  store: Store,
  shard: number,
  { examined, quarantined }: { examined: Sound; quarantined: ReadonlySet<string> },
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const { metadata, bytes, sha256 } = examined;
  if (!(await quarantineFits(store, { shard, failed: metadata.failed, quarantined }))) {
    findings.push({ file: join("quarantine", quarantineName(shard)), problem: "it is not what the shard says", remedy: REWRITE });
  }
  const entries = store.journal.entries.get(shard);
  const expected = JSON.stringify(recordOf({ rows: metadata.rows, bytes, sha256, failed: metadata.failed }));
  const recorded = entries?.find((entry) => entry.sha256 === sha256);
  if (!recorded) findings.push({ file: "journal.jsonl", problem: `shard ${shard} has no line`, remedy: REWRITE });
  else if (JSON.stringify(recorded) !== expected) {
    findings.push({ file: "journal.jsonl", problem: `the line of shard ${shard} is not what the shard says`, remedy: REWRITE });
  }
  return findings;
}

/** Files among the shards and the quarantine that are none of the store's; what systems and tools litter is passed over. */
async function strangers(
  store: Store,
  { present, quarantined, finished }: { present: readonly number[]; quarantined: ReadonlySet<string>; finished: boolean },
): Promise<Finding[]> {
  const known = new Set(present.map((shard) => shardName(store, shard)));
  // A shard's quarantine is written before the shard.
  const isQuarantine = (name: string) => (shardOf(name, ["jsonl"]) ?? Infinity) < store.shards;
  const findings: Finding[] = [];
  for (const [folder, names, isOurs] of [
    ["shards", await namesAt(within(store.folder, "shards")), (name: string) => known.has(name)],
    ["quarantine", quarantined, isQuarantine],
  ] as const) {
    for (const name of names) {
      if (isOurs(name) || isLitterName(name) || (isTemporary(name) && !finished)) continue; // the last is work in progress
      findings.push({ file: join(folder, name), problem: "it is none of this store's files", remedy: REMOVE });
    }
  }
  return findings;
}

/** Of a finished store in which nothing else is wrong: the books that are not what all its shards together say. */
async function falseBooks(store: Store, { signal }: VerifyOptions): Promise<Finding[]> {
  const { journal, result } = summarise(store, { signal });
  const expected = await sha256Pieces(journal);
  const isFalse = {
    "summary.json": (await readText(summaryPath(store))) !== summaryText(result().summary),
    "journal.jsonl": (await sha256Pieces(piecesOf(journalPath(store)))) !== expected,
  };
  return Object.entries(isFalse).flatMap(([file, wrong]) =>
    wrong ? [{ file, problem: "it is not what the shards say", remedy: REWRITE }] : [],
  );
}

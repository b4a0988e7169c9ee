/** What stands beside the shards, checked as far as each file tells by itself, and against each other. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { examineDescriptions } from "../records/checksums.ts";
import { type Finding, REMAKE, REPEAT, REWRITE } from "../records/finding.ts";
import { textHash } from "../places/hash.ts";
import { readWholeJournal } from "../records/entries.ts";
import { idRange, quarantineName, quarantinePath, shardName, type Store } from "../records/layout.ts";
import { gapsIn, madeShards } from "../records/present.ts";
import { quarantinesOf } from "../records/quarantine.ts";
import { isFinished, readSummary, type Summary } from "./summary.ts";
import { readText } from "../places/text.ts";

/**
 * Checks all files of a store but its shards, as far as each tells by itself. Reads the journal anew. Of a store that
 * is still being written, what a killed process leaves (a torn journal line) is found too.
 */
export async function examineBooks(store: Store): Promise<Finding[]> {
  const findings: Finding[] = [];
  const note = (file: string, problem: string, remedy: string) => findings.push({ file, problem, remedy });
  const summary = await readSummary(store).catch((error: Error) => {
    if (!(error instanceof Failure)) throw error;
    note("summary.json", "it is damaged", REWRITE);
    return undefined;
  });
  store.journal = await readWholeJournal(store);
  const { damaged, entries } = store.journal;
  for (const { file, problem } of damaged.first) note(file, problem, REWRITE);
  const more = damaged.count - damaged.first.length;
  if (more > 0) note("journal.jsonl", `${more} more lines are damaged`, REWRITE);
  for (const shard of entries.keys()) {
    if (shard < store.shards) continue;
    note("journal.jsonl", `it has a line of shard ${shard}, and the store has ${store.shards} shards`, REWRITE);
    break;
  }
  const wrong = summary && findings.length === 0 ? summaryProblem(store, summary) : undefined;
  if (wrong) note("summary.json", wrong, REWRITE);
  for (const { file, problem } of (await examineDescriptions(store.folder)) ?? []) note(file, problem, REPEAT);
  return findings;
}

/** In what a summary is not what the journal says; undefined where the journal lacks lines, since the shards must tell then. */
function summaryProblem(store: Store, summary: Summary): string | undefined {
  const found = { rows: 0, rejected: 0, shards: store.shards, bytes: 0 };
  const contents = createHash("sha256");
  for (let shard = 0; shard < store.shards; shard++) {
    const [entry, other] = store.journal.entries.get(shard) ?? [];
    if (!entry || other) return undefined;
    found.rows += entry.rows;
    found.rejected += entry.failed;
    found.bytes += entry.bytes;
    contents.update(`${entry.sha256}\n`);
  }
  const expected = { ...found, contents: contents.digest("hex") };
  const key = (Object.keys(expected) as (keyof typeof expected)[]).find((name) => summary[name] !== expected[name]);
  return key && `it is not what the journal says (${key}: ${summary[key]} instead of ${expected[key]})`;
}

/**
 * What a reader asks of a store before its first row: that nothing beside the shards is damaged, and of a finished store
 * that nothing is missing. Throws a Failure that names the file and the remedy.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { checkBooks } from "./books.ts";
 * import { shardPath } from "./store.ts";
 * await checkBooks(latents);
 * await rm(shardPath(latents, 3));
 * await assert.rejects(checkBooks(latents), /000003.parquet: it is missing from a finished store/);
 */
export async function checkBooks(store: Store): Promise<void> {
  const finished = await isFinished(store);
  const findings = (await examineBooks(store)).filter(({ file }) => finished || !file.startsWith("journal"));
  if (finished && findings.length === 0) findings.push(...missingOf(store, await madeShards(store)), ...(await falseQuarantine(store)));
  const [first, ...others] = findings;
  if (!first) return;
  const more = others.length > 0 ? ` (and ${others.length} more: pipeline verify names all)` : "";
  throw new Failure(`Cannot use the store ${store.folder}: ${first.file}: ${first.problem}. Remedy: ${first.remedy}${more}.`);
}

/** What a finished store lacks: a finding for each stretch of shards that have no file and were not removed. */
export function missingOf(store: Store, made: readonly number[]): Finding[] {
  return gapsIn(made, store.shards).map(({ from, to }) => {
    const shards = to - from;
    const ids = { from: idRange(store.manifest, from).from, to: idRange(store.manifest, to - 1).to };
    const file = join("shards", shardName(store, from)) + (shards > 1 ? ` to ${shardName(store, to - 1)}` : "");
    const problem = `${shards > 1 ? "they are" : "it is"} missing from a finished store`;
    return { shard: from, ...(shards > 1 && { shards }), ids, file, problem, remedy: REMAKE };
  });
}

/** The quarantine files that are not what the journal says. */
async function falseQuarantine(store: Store): Promise<Finding[]> {
  const present = await quarantinesOf(store);
  const findings: Finding[] = [];
  for (const [shard, entries] of store.journal.entries) {
    const name = quarantineName(shard);
    const expected = entries.map(({ quarantine }) => quarantine);
    const text = present.has(name) ? ((await readText(quarantinePath(store, shard))) ?? "") : "";
    if (expected.includes(text === "" ? "" : textHash(text))) continue;
    findings.push({ file: join("quarantine", name), problem: "it is not what the journal says", remedy: REWRITE });
  }
  return findings;
}

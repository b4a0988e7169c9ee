/**
 * pipeline verify STORE [--repair] [--forget READER]
 *
 * store | every byte checked | findings, and what is sound written anew
 */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { inFolder } from "../stages/runs/folder.ts";
import type { Finding } from "../store/records/finding.ts";
import { mendStore } from "../store/making/mend.ts";
import { removedShards } from "../store/records/present.ts";
import { forgetReader } from "../store/shards/readers.ts";
import { openStore, presentShards } from "../store/shards/store.ts";
import { verifyStore } from "../store/making/verify.ts";

/**
 * Reports what is damaged in a store: file, shard, rows and remedy. With `repair`, journal, quarantine and summary are
 * written anew from sound shards, and the store is verified again. Throws a Failure when anything stays damaged. With `forget`, the name
 * of a training that will not go on, nothing is looked at: simulation no longer waits for that one.
 */
export async function verify(options: {
  path: string;
  repair?: boolean;
  forget?: string | undefined;
  context: Context;
}): Promise<Finding[]> {
  const { path, repair, forget, context } = options;
  const { signal, report } = context;
  const store = await openStore({ folder: path });
  if (forget !== undefined) {
    await forgetReader(store, forget);
    report({ type: "result", stage: "verify", values: { store: path, forgotten: forget } });
    return [];
  }
  const onShard = (done: number) => report({ type: "progress", stage: "verify", done, total: store.shards, unit: "shards" });
  const told = new Set<string>();
  const onFinding = (finding: Finding) => {
    const message = findingInWords(finding);
    if (told.has(message)) return;
    told.add(message);
    report({ type: "warning", stage: "verify", message });
  };
  const mend = (): Promise<Finding[]> => mendStore(store, { signal, onShard, onFinding });
  const findings = repair
    ? await inFolder({ folder: path, kind: "store", command: "repair", context }, mend) // no maker may write meanwhile
    : await verifyStore(store, { signal, onShard });
  const mended = told.size;
  for (const finding of findings) onFinding(finding);
  if (findings.length > 0) {
    const remade = findings.filter(({ shard }) => shard !== undefined);
    const count = remade.reduce((sum, { shards = 1 }) => sum + shards, 0);
    const named = count > 0 ? `, ${count} of its ${store.shards} shards must be made again (${listed(remade)})` : "";
    const found = `${findings.length} ${findings.length === 1 ? "finding" : "findings"}${repair ? " after the repair" : ""}`;
    throw new Failure(`${path} is damaged: ${found}${named}. Each warning above ends with its remedy.`);
  }
  const present = (await presentShards(store)).length;
  const removed = (await removedShards(store)).length;
  const values = { store: path, shards: present, ...(removed > 0 && { removed }), of: store.shards, damaged: 0, ...(repair && { mended }) };
  report({ type: "result", stage: "verify", values });
  return findings;
}

/** One line: file, rows, problem, remedy. */
export function findingInWords({ file, ids, problem, remedy }: Finding): string {
  return `${file}${ids ? ` (rows ${ids.from} to ${ids.to - 1})` : ""}: ${problem}; ${remedy}`;
}

function listed(findings: Finding[]): string {
  const names = findings.slice(0, 10).map(({ shard = 0, shards = 1 }) => (shards > 1 ? `${shard} to ${shard + shards - 1}` : `${shard}`));
  return names.join(", ") + (findings.length > 10 ? ", ..." : "");
}

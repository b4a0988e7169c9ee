/**
 * pipeline verify STORE [--repair]
 *
 * store | every byte checked | findings, and what is sound written anew
 */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { openStore } from "../store/store.ts";
import { type Finding, mendStore, verifyStore } from "../store/verify.ts";

/**
 * Reports what is damaged in a store: file, shard, rows and remedy. With `repair`, journal, quarantine and summary are
 * written anew from sound shards. Throws a Failure when anything stays damaged.
 */
export async function verify(options: { path: string; repair?: boolean; context: Context }): Promise<Finding[]> {
  const { path, repair, context } = options;
  const { signal, report } = context;
  const store = await openStore({ folder: path });
  const onShard = (done: number) => report({ type: "progress", stage: "verify", done, total: store.shards, unit: "shards" });
  const onFinding = (finding: Finding) => report({ type: "warning", stage: "verify", message: findingInWords(finding) });
  const mend = (): Promise<Finding[]> => mendStore(store, { signal, onShard, onFinding });
  const findings = repair
    ? await inFolder({ folder: path, kind: "store", command: "repair", context }, mend) // no maker may write meanwhile
    : await verifyStore(store, { signal, onShard });
  if (!repair) for (const finding of findings) onFinding(finding);
  if (findings.length > 0) {
    const shards = findings.flatMap(({ shard }) => shard ?? []);
    const named = shards.length > 0 ? `, ${shards.length} of its ${store.shards} shards must be made again (${listed(shards)})` : "";
    throw new Failure(
      `${path} is damaged: ${findings.length} ${findings.length === 1 ? "finding" : "findings"}${named}. ` +
        "Each warning above ends with its remedy.",
    );
  }
  report({ type: "result", stage: "verify", values: { store: path, shards: store.journal.size, of: store.shards, damaged: 0 } });
  return findings;
}

/** One line: file, rows, problem, remedy. */
export function findingInWords({ file, ids, problem, remedy }: Finding): string {
  return `${file}${ids ? ` (rows ${ids.from} to ${ids.to - 1})` : ""}: ${problem}; ${remedy}`;
}

function listed(shards: number[]): string {
  return shards.slice(0, 10).join(", ") + (shards.length > 10 ? ", ..." : "");
}

/** What a command that makes a store has to make: shards that are missing, damaged or to be tried again, in its share. */
import type { PipelineEvent } from "../../schemas/events.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { numberInWords } from "../../schemas/words.ts";
import { readWholeJournal } from "../records/entries.ts";
import { removeLeftovers } from "../records/leftovers.ts";
import { type WorkShare, shareOf } from "./share.ts";
import { mendStore } from "./mend.ts";
import { countMissing } from "../records/present.ts";
import { missingOwn } from "./others.ts";
import { presentShards, readFailures, type Store } from "../shards/store.ts";
import { sealStore, type Summary } from "../shards/summary.ts";

export interface Work extends WorkShare {
  /** Verify the store first and make damaged shards again. */
  repair?: boolean;
  /** Try failed rows of finished shards again. */
  retry?: boolean;
}

/**
 * The shards to make, ascending; those of them that are damaged; those that are sound and have failed rows.
 *
 * @example
 * import { createLatentStore } from "onestep/store";
 * import { planWork } from "./work.ts";
 * const store = await createLatentStore({ folder, manifest: latents.manifest });
 * const context = { stage: "ingest", signal: new AbortController().signal, report: () => {} };
 * const { shards } = await planWork(store, { ...context, part: "1/2" });
 * assert.deepEqual(shards, [0, 2, 4, 6]);
 */
export async function planWork(
  store: Store,
  options: Work & { stage: string; signal: AbortSignal; report: (event: PipelineEvent) => void },
): Promise<{ shards: number[]; repaired: number[]; retried: Set<number> }> {
  const { stage, signal, report, repair, retry } = options;
  const isMine = shareOf(options, store.shards);
  if (options.part === undefined && options.shards === undefined) await removeLeftovers(store);
  const wanted = new Set(await missingOwn(store, isMine, signal));
  const repaired: number[] = [];
  if (repair) {
    const findings = await mendStore(store, {
      signal,
      onShard: (done) => report({ type: "progress", stage: "verify", done, total: store.shards, unit: "shards" }),
      onFinding: ({ file, problem }) => report({ type: "warning", stage, message: `${file}: ${problem}` }),
    });
    for (const { shard: first = 0, shards = 1 } of findings.filter(({ shard }) => shard !== undefined)) {
      for (let shard = first; shard < first + shards; shard++) if (isMine(shard)) repaired.push(shard);
    }
    for (const shard of repaired) wanted.add(shard);
  }
  const retried = new Set<number>();
  for (const shard of retry ? await presentShards(store) : []) {
    signal.throwIfAborted();
    if (wanted.has(shard) || !isMine(shard)) continue;
    if ((await readFailures(store, shard)).length > 0) retried.add(shard);
  }
  for (const shard of [...repaired, ...retried]) store.remade.add(shard);
  const shards = [...wanted, ...retried].filter(isMine).sort((a, b) => a - b);
  return { shards, repaired, retried };
}

/**
 * Seals a store when all its shards are there; says how many are not where others have them to make, or where they were left on purpose
 * (`whyLeft`). A repaired shard that is not bit by bit what the journal had recorded is named.
 *
 * @example
 * import { finishWork } from "./work.ts";
 * const summary = await finishWork(latents, { repaired: [], stage: "ingest", report: () => {} });
 * assert.equal(summary?.rows, 50);
 */
export async function finishWork<M extends Manifest>(
  store: Store<M>,
  options: WorkShare & {
    repaired: number[];
    stage: string;
    whyLeft?: string | undefined;
    signal?: AbortSignal;
    report: (event: PipelineEvent) => void;
  },
): Promise<Summary | undefined> {
  const { repaired, stage, whyLeft, signal, report, part, shards } = options;
  const journal = repaired.length > 0 ? await readWholeJournal(store) : undefined;
  for (const shard of repaired) {
    if ((journal?.entries.get(shard)?.length ?? 0) < 2) continue;
    const message = `shard ${shard} was made again, but not bit by bit as it was: another driver or library made it then`;
    report({ type: "warning", stage, message });
  }
  if (part !== undefined || shards !== undefined || whyLeft !== undefined) {
    const { missing, first } = await countMissing(store);
    if (missing > 0) {
      const left = `${numberInWords(missing)} of ${store.shards} shards`;
      const share = `this share is done; ${left} are left to others, the first is ${first}`;
      const message = whyLeft === undefined ? share : `${left} are not made, the first is ${first}: ${whyLeft}`;
      report({ type: "note", stage, message });
      return undefined;
    }
  }
  return sealStore(store, { signal });
}

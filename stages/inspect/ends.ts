/** What is known of a store from the ends of its shards alone. */
import { isFailure } from "../../schemas/failure.ts";
import { filesAt } from "../../store/places/files.ts";
import { inOrder } from "../../store/places/in-order.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { gapsIn, removedShards, type Stretch, stretchesOf, union, without } from "../../store/records/present.ts";
import { createTotals, type Statistics, type Sums } from "../../store/records/statistics.ts";
import { presentShards, readHead, shardPath, type Store } from "../../store/shards/store.ts";

export interface ShardFacts {
  shard: number;
  /** Of missing and removed shards: how many in a row, from `shard` on; 1 of any other. */
  count: number;
  /** Removed are those that went because all had read them. */
  state: "sound" | "damaged" | "missing" | "removed";
  rows: number;
  bytes: number;
  failed: number;
  /** Of its latents, over all channels. */
  mean: number;
  std: number;
  problem?: string;
}

/** Whether a shard has a file. */
export const isHere = ({ state }: Pick<ShardFacts, "state">): boolean => state === "sound" || state === "damaged";

const nothing = { count: 1, rows: 0, bytes: 0, failed: 0, mean: 0, std: 0 };
const mostReasons = 1000;

/** What the ends of the shards tell. */
export interface Ends {
  /** Shards that are there, and one entry for each stretch of others; ascending. */
  shards: ShardFacts[];
  /** How many shards the finished store has. */
  planned: number;
  /** Of the latents of all sound shards. */
  statistics: Statistics;
  /** How many rows were rejected, their reasons by frequency, and the first of them. */
  rejected: { count: number; reasons: [string, number][]; first: (FailedRow & { shard: number })[] };
}

/** What is known from the ends of the shards alone, without reading a row: cheap for any size. */
export async function surveyShards(store: Store, signal: AbortSignal): Promise<Ends> {
  const present = await presentShards(store);
  const removed = without(await removedShards(store), present);
  const absent =
    (state: "missing" | "removed") =>
    ({ from, to }: Stretch): ShardFacts => ({ ...nothing, shard: from, count: to - from, state });
  const gaps = [
    ...stretchesOf(removed).map(absent("removed")),
    ...gapsIn(union(present, removed), store.shards).map(absent("missing")),
  ].sort((a, b) => a.shard - b.shard);
  const totals = createTotals(store.manifest.shape[2]);
  const shards: ShardFacts[] = [];
  const reasons = new Map<string, number>();
  const first: Ends["rejected"]["first"] = [];
  for await (const end of inOrder(present.length, (n) => endOf(store, present[n] as number), signal)) {
    const { shard, bytes } = end;
    while (gaps[0] && gaps[0].shard < shard) shards.push(gaps.shift()!);
    if (end.problem !== undefined) {
      shards.push({ ...nothing, shard, bytes, state: "damaged", problem: end.problem });
      continue;
    }
    const { rows, failed, sums } = end;
    totals.add(sums);
    shards.push({ ...nothing, shard, state: "sound", rows, bytes, failed: failed.length, ...overall(sums) });
    for (const failure of failed) {
      const reason = reasons.has(failure.reason) || reasons.size < mostReasons ? failure.reason : "other reasons";
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      if (first.length < 500) first.push({ shard, ...failure });
    }
  }
  shards.push(...gaps);
  const count = [...reasons.values()].reduce((sum, each) => sum + each, 0);
  const rejected = { count, reasons: [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 50), first };
  return { shards, planned: store.shards, statistics: totals.result(), rejected };
}

/** The end of a shard, or what is wrong with it. */
async function endOf(store: Store, shard: number) {
  try {
    return { shard, ...(await readHead(store, shard)) };
  } catch (error) {
    if (!isFailure(error)) throw error;
    const path = shardPath(store, shard);
    const bytes = (await filesAt(path).size(path)) ?? 0;
    return { shard, bytes, problem: error.cause instanceof Error ? error.cause.message : error.message };
  }
}

/** Mean and standard deviation over all channels together. */
function overall({ count, sum, squares }: Sums): { mean: number; std: number } {
  const total = (values: number[]) => values.reduce((all, value) => all + value, 0);
  const n = Math.max(1, total(count));
  const mean = total(sum) / n;
  return { mean, std: Math.sqrt(Math.max(0, total(squares) / n - mean * mean)) };
}

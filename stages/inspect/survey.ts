/** One pass over a store: all that can be told of its rows, in memory that does not grow with their number. */
import { setImmediate } from "node:timers/promises";
import { isFailure } from "../../schemas/failure.ts";
import { examineShard } from "../../store/examine.ts";
import { filesAt } from "../../store/files.ts";
import type { FailedRow } from "../../store/journal.ts";
import { gapsIn, removedShards, type Stretch, stretchesOf, union, without } from "../../store/present.ts";
import { createTotals, type Statistics, type Sums } from "../../store/statistics.ts";
import { presentShards, readHead, shardPath, type Store } from "../../store/store.ts";
import { tensorOf } from "../../store/columns.ts";
import { type CodeCounts, createCodeCounts } from "./codes.ts";
import { type Balance, countCondition, createBalance } from "./balance.ts";
import { idOf, type StoreRow } from "./rows.ts";
import { createHistograms, createNoise, type Spread } from "./spread.ts";
import { createTally, type Tally } from "./tally.ts";
import { type Course, createCourse } from "./trajectory.ts";

/** A row in standard deviations from the store's mean. */
export interface Outlier {
  id: number;
  /** Root mean square over its values: 1 for a usual row. */
  distance: number;
  /** The largest of its values. */
  peak: number;
}

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

export interface Survey {
  rows: number;
  bytes: number;
  /** Shards that are there, and one entry for each stretch of others; ascending. */
  shards: ShardFacts[];
  /** How many shards the finished store has. */
  planned: number;
  /** How many rows were rejected, their reasons by frequency, and the first of them. */
  rejected: { count: number; reasons: [string, number][]; first: (FailedRow & { shard: number })[] };
  conditions: Balance;
  latent: Spread;
  /** Of triples that keep the teacher's states. */
  course?: Course;
  /** Of triples: all that is stored, or a sample of what is derived. */
  noise?: Spread & { mismatched: number };
  /** Of tokens. */
  codes?: CodeCounts;
  duplicates: ReturnType<Tally["counts"]>;
  /** Farthest from the mean, and with the largest single value; the worst first. */
  farthest: Outlier[];
  peaks: Outlier[];
}

/** Whether a shard has a file. */
export const isHere = ({ state }: Pick<ShardFacts, "state">): boolean => state === "sound" || state === "damaged";

const nothing = { count: 1, rows: 0, bytes: 0, failed: 0, mean: 0, std: 0 };
const mostReasons = 1000;
const kept = 6; // outliers of each kind
const piece = 2 ** 19; // values between two breaths of the control thread

/** What the ends of the shards tell. */
export interface Ends {
  /** Shards that are there, and one entry for each stretch of others; ascending. */
  shards: ShardFacts[];
  /** How many shards the finished store has. */
  planned: number;
  /** Of the latents of all sound shards. */
  statistics: Statistics;
  rejected: Survey["rejected"];
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
  const first: Survey["rejected"]["first"] = [];
  for (const shard of present) {
    signal.throwIfAborted();
    while (gaps[0] && gaps[0].shard < shard) shards.push(gaps.shift()!);
    const facts: ShardFacts = { ...nothing, shard, state: "sound" };
    shards.push(facts);
    try {
      const { rows, bytes, failed, sums } = await readHead(store, shard);
      totals.add(sums);
      Object.assign(facts, { rows, bytes, failed: failed.length, ...overall(sums) });
      for (const failure of failed) {
        const reason = reasons.has(failure.reason) || reasons.size < mostReasons ? failure.reason : "other reasons";
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        if (first.length < 500) first.push({ shard, ...failure });
      }
    } catch (error) {
      if (!isFailure(error)) throw error;
      const path = shardPath(store, shard);
      const bytes = (await filesAt(path).size(path)) ?? 0;
      Object.assign(facts, { state: "damaged", bytes, problem: error.cause instanceof Error ? error.cause.message : error.message });
    }
  }
  for (const gap of gaps) shards.push(gap);
  const count = [...reasons.values()].reduce((sum, each) => sum + each, 0);
  const rejected = { count, reasons: [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 50), first };
  return { shards, planned: store.shards, statistics: totals.result(), rejected };
}

/**
 * Reads every row once, one shard in memory, and checks it on the way; a damaged shard is told of and left out.
 * `onShard` hears how many shards are done.
 */
export async function surveyStore(
  store: Store,
  options: { signal: AbortSignal; onShard?: (done: number, of: number) => void },
): Promise<Survey> {
  const { signal, onShard } = options;
  const { manifest } = store;
  const { shards, planned, rejected, statistics } = await surveyShards(store, signal);
  const here = shards.filter(isHere);

  const conditions = createBalance();
  const latents = createTally();
  const latent = createHistograms(statistics);
  const worst = { farthest: createTop("distance"), peaks: createTop("peak") };
  const noise =
    manifest.kind === "triples"
      ? createNoise(
          manifest,
          here.reduce((sum, { rows }) => sum + rows, 0),
        )
      : undefined;
  const course = manifest.kind === "triples" && manifest.trajectory ? createCourse(manifest) : undefined;
  const codes = manifest.kind === "tokens" ? createCodeCounts(manifest.tokenizer.codes) : undefined;
  let values = 0;
  for (const [done, facts] of here.entries()) {
    signal.throwIfAborted();
    const examined = await examineShard(store, facts.shard);
    if (examined.problem !== undefined) Object.assign(facts, { state: "damaged", problem: examined.problem });
    for (const row of (examined.problem === undefined ? examined.rows : []) as StoreRow[]) {
      const id = idOf(row);
      countCondition(conditions, row, id);
      const tensor = tensorOf(row);
      latents.add(new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength), id);
      const outlier = { id, ...latent.add(tensor) };
      worst.farthest.add(outlier);
      worst.peaks.add(outlier);
      if ("seed" in row) {
        noise?.add(row);
        course?.add(row);
      }
      if ("tokens" in row) codes?.add(row.tokens);
      if (values % piece > (values += tensor.length) % piece) await setImmediate();
    }
    onShard?.(done + 1, here.length);
  }
  return {
    rows: here.reduce((sum, { rows, state }) => sum + (state === "sound" ? rows : 0), 0),
    bytes: here.reduce((sum, { bytes }) => sum + bytes, 0),
    shards,
    planned,
    rejected,
    conditions,
    latent: { statistics, values, histograms: latent.histograms },
    ...(course && { course: course.result() }),
    ...(noise && { noise: noise.spread() }),
    ...(codes && { codes: codes.counts() }),
    duplicates: latents.counts(),
    farthest: worst.farthest.list,
    peaks: worst.peaks.list,
  };
}

/** The shards that a gallery leaves out. */
export function damagedShards({ shards }: Pick<Survey, "shards">): ReadonlySet<number> {
  return new Set(shards.flatMap(({ state, shard }) => (state === "damaged" ? [shard] : [])));
}

/** The rows with the largest figure of a kind, the largest first. */
function createTop(figure: "distance" | "peak") {
  const list: Outlier[] = [];
  return {
    list,
    add: (outlier: Outlier) => {
      if (list.length === kept && outlier[figure] <= list[kept - 1]![figure]) return;
      const at = list.findIndex((other) => other[figure] < outlier[figure]);
      list.splice(at < 0 ? list.length : at, 0, outlier);
      list.length = Math.min(list.length, kept);
    },
  };
}

/** Mean and standard deviation over all channels together. */
function overall({ count, sum, squares }: Sums): { mean: number; std: number } {
  const total = (values: number[]) => values.reduce((all, value) => all + value, 0);
  const n = Math.max(1, total(count));
  const mean = total(sum) / n;
  return { mean, std: Math.sqrt(Math.max(0, total(squares) / n - mean * mean)) };
}

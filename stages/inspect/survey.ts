/** One pass over a store: all that can be told of its rows, in memory that does not grow with their number. */
import { setImmediate } from "node:timers/promises";
import { examineShard } from "../../store/shards/examine.ts";
import type { Store } from "../../store/shards/store.ts";
import { tensorOf } from "../../store/format/columns.ts";
import { type CodeCounts, createCodeCounts } from "./codes.ts";
import { type Balance, countCondition, createBalance } from "./balance.ts";
import { idOf, type StoreRow } from "./rows.ts";
import { createHistograms, createNoise, type Spread } from "./spread.ts";
import { createTally, type Tally } from "./tally.ts";
import { type Ends, isHere, surveyShards } from "./ends.ts";
import { type Course, createCourse } from "./trajectory.ts";

/** A row in standard deviations from the store's mean. */
export interface Outlier {
  id: number;
  /** Root mean square over its values: 1 for a usual row. */
  distance: number;
  /** The largest of its values. */
  peak: number;
}

export interface Survey extends Omit<Ends, "statistics"> {
  rows: number;
  bytes: number;
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

const kept = 6; // outliers of each kind
const piece = 2 ** 19; // values between two breaths of the control thread

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

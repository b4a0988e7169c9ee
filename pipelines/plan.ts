/**
 * pipeline doctor --plan --count N --devices N [--preempt 4h] [--price DOLLARS] [--row-seconds S] [--epochs N] [--teacher RUN]
 *
 * a row's bytes and seconds | shards | the making simulated event by event | bytes, hours, requests, dollars
 */
import { textShapeOf } from "../models/families/published.ts";
import { conditionColumns } from "../models/encoders/own.ts";
import { embeddingSize } from "../schemas/embedding.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import { mostEntries, mostShards } from "../schemas/manifest.ts";
import type { ImageSize } from "../schemas/images.ts";
import type { DenoiserDescription } from "../schemas/model.ts";
import type { Settings } from "../schemas/settings.ts";
import { bytesInWords, durationInWords, numberInWords } from "../schemas/words.ts";
import { type RowContent, rowBytesOf, rowsPerShardOf, scaleOf } from "../stages/doctor/scale.ts";
import { secondsPerTriple } from "../stages/doctor/timing.ts";
import { type Made, simulateMaking } from "../stages/doctor/work-simulation.ts";
import { isPublishedTeacher } from "../stages/published/teacher.ts";
import { planDenoiser, readDenoiser } from "../stages/runs/model.ts";

/** Where no teacher is named: Stable Diffusion 1.5's latents, and a fifth of an H100's half-precision peak for 50 guided steps. */
const ASSUMED = { values: 64 * 64 * 4, seconds: 0.35 };

/** Seconds that a worker is taken to load. */
const LOAD = 60;

/** Makings that are simulated, of which the mean is told; one alone of millions of shards. */
const MAKINGS = 3;
const MANY = 200_000;

/** A shard that is begun so often until a device gets to its end is no plan. */
const MOST_BEGINNINGS = 20;

export interface PlanRequest {
  devices: number;
  /** Mean seconds to a device's preemption. */
  preempt?: number | undefined;
  /** Dollars a device and hour. */
  price?: number | undefined;
  /** Seconds a row takes one device; measured here otherwise. */
  rowSeconds?: number | undefined;
  /** Of all trainings that read the store. */
  epochs: number;
  /** Rows of a shard; what suits them otherwise. */
  rowsPerShard?: number | undefined;
}

/**
 * Reports what `simulate.count` triples of `teacher` take on many devices. Throws a usage failure where a published teacher's time is
 * not told, since it would have to be read whole, and where there are too many shards to simulate, or hardly one would be finished.
 */
export async function plan(
  options: PlanRequest & { teacher?: string | undefined; size?: ImageSize | undefined; settings: Settings; context: Context },
): Promise<void> {
  const { devices, preempt, price, epochs, settings, context } = options;
  const { report, signal } = context;
  const { count: rows, batch } = settings.simulate;
  const { window } = settings.train;
  const { row, secondsPerRow } = await rowOf(options);
  const rowBytes = rowBytesOf(row);
  const suiting = Math.min(rowsPerShardOf({ rowBytes, secondsPerRow, batch, preempt }), rows);
  const rowsPerShard = Math.min(options.rowsPerShard ?? suiting, rows);
  const shards = Math.ceil(rows / rowsPerShard);
  const making = { workers: devices, shards, secondsPerShard: rowsPerShard * secondsPerRow, load: LOAD, preempt };
  checkMaking({ rows, rowsPerShard, ...making });
  if (shards < devices) {
    const few = `${shards} ${shards === 1 ? "shard keeps" : "shards keep"} ${shards} of ${devices} devices busy`;
    report({ type: "warning", stage: "plan", message: `${few}: plan fewer, or set a smaller simulate.rowsPerShard` });
  }
  const made: Made[] = [];
  for (let seed = 0; seed < (shards > MANY ? 1 : MAKINGS); seed++) made.push(await simulateMaking({ ...making, seed, signal }));
  const mean = (of: "overIdeal" | "lost" | "duplicated") => made.reduce((sum, each) => sum + each[of], 0) / made.length;
  const scale = scaleOf({
    ...{ rows, rowBytes, rowsPerShard, secondsPerRow, devices, price: price ?? 0, epochs, window },
    heldBytes: rowBytesOf({ ...row, dtype: "float32" }),
    // What loading costs is part of the simulated time.
    ...{ overIdeal: mean("overIdeal"), load: 0 },
  });
  const percent = (share: number) => `${numberInWords(100 * share)} %`;
  const advice = rowsPerShard === suiting ? "" : `${suiting} would suit: `;
  const { put, list, get, head } = scale.requests;
  const halfShard = scale.secondsPerShard / 2;
  report({
    type: "result",
    stage: "store",
    values: {
      rows,
      "bytes a row": rowBytes,
      bytes: bytesInWords(scale.bytes),
      shards: `${shards} of ${rowsPerShard} rows (${advice}simulate.rowsPerShard=${suiting})`,
      "each shard": `${bytesInWords(scale.shardBytes)}, ${durationInWords(scale.secondsPerShard)}`,
      trainer: `${bytesInWords(scale.trainerBytes)} of memory for two windows of ${window} shards, beside its networks`,
    },
  });
  report({
    type: "result",
    stage: "time",
    values: {
      "seconds a row": secondsPerRow,
      "device hours": numberInWords(scale.deviceHours),
      devices,
      time: durationInWords(scale.hours * 3600),
      "over the ideal": `${numberInWords(mean("overIdeal"))} times the time of work shared perfectly`,
      duplicated: `${percent(mean("duplicated"))} of device time`,
      ...(preempt !== undefined && {
        "lost to preemption": `${percent(mean("lost"))} of device time (half a shard a preemption: ${percent(halfShard / preempt)})`,
      }),
    },
  });
  const dollars = (amount: number) => `$${amount < 10 ? amount.toFixed(2) : Math.round(amount)}`;
  report({
    type: "result",
    stage: "cost",
    values: {
      devices:
        price === undefined
          ? "unknown: say --price DOLLARS of a device and hour"
          : `${dollars(scale.dollars.devices)} for work alone, ${dollars(scale.hours * devices * price)} with loading, losses and waits`,
      storage: `${dollars(scale.dollars.month)} a month`,
      requests:
        `${dollars(scale.dollars.requests)} in all, with ${epochs === 1 ? "one epoch" : `${epochs} epochs`} of training ` +
        `(${put} PUT, ${list} LIST, ${get} GET, ${head} HEAD)`,
      "an epoch read outside the region": dollars(scale.dollars.leaving),
    },
  });
}

/** Refuses a making that would never end, or could not be simulated. */
function checkMaking(making: {
  rows: number;
  rowsPerShard: number;
  shards: number;
  secondsPerShard: number;
  preempt?: number | undefined;
}): void {
  const { rows, rowsPerShard, shards, secondsPerShard, preempt } = making;
  if (rows > mostEntries || shards > mostShards) {
    throw badUsage(
      `Cannot plan a store of ${rows} triples in ${shards} shards: it holds ${mostEntries} in ${mostShards} at most; ` +
        "lower --count, make several stores, or set a larger simulate.rowsPerShard",
    );
  }
  if (preempt === undefined || Math.exp((LOAD + secondsPerShard) / preempt) <= MOST_BEGINNINGS) return;
  const [life, load, shard] = [preempt, LOAD, secondsPerShard].map(durationInWords);
  throw badUsage(
    `Cannot plan for devices that are preempted every ${life} (--preempt): they load for ${load} and take ${shard} for a shard of ` +
      `${rowsPerShard} rows, so hardly one is finished; expected devices that last longer, or a smaller simulate.rowsPerShard or ` +
      "simulate.batch",
  );
}

/** Content and seconds of a row, as far as they are told, measured or assumed. */
async function rowOf(options: Parameters<typeof plan>[0]): Promise<{ row: RowContent; secondsPerRow: number }> {
  const { teacher, size, rowSeconds, settings, context } = options;
  const { noise, dtype, trajectory = [], embeddings, textLength } = settings.simulate;
  const states = trajectory.filter((step) => step > 0).length;
  if (teacher === undefined) {
    const assumed = rowSeconds === undefined ? ` and ${ASSUMED.seconds} s a row, a fifth of an H100's peak,` : "";
    const message = `latents of 64 x 64 x 4, as Stable Diffusion 1.5's,${assumed} are assumed: --teacher and --row-seconds say better`;
    context.report({ type: "note", stage: "plan", message });
    return {
      row: { values: ASSUMED.values, states, dtype, noise, isText: true },
      secondsPerRow: rowSeconds ?? ASSUMED.seconds,
    };
  }
  const { spec } = (await planDenoiser(teacher, { size, textLength })).teacher.description as DenoiserDescription;
  const shape = embeddings === "stored" ? textShapeOf(spec) : undefined;
  const row: RowContent = {
    ...{ values: spec.shape.reduce((product, side) => product * side, 1), states, dtype, noise },
    isText: conditionColumns(spec.network).includes("caption"),
    ...(shape && { embedding: embeddingSize(shape) }),
  };
  if (rowSeconds !== undefined) return { row, secondsPerRow: rowSeconds };
  if (isPublishedTeacher(teacher)) {
    throw badUsage(`Cannot plan with ${teacher}: say how long a row takes one device with --row-seconds S, as pipeline simulate prints it`);
  }
  const { signal, report } = context;
  return { row, secondsPerRow: await secondsPerTriple(await readDenoiser(teacher, { report }), { settings, signal }) };
}

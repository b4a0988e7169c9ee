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
import type { ImageSize } from "../schemas/images.ts";
import type { DenoiserDescription } from "../schemas/model.ts";
import type { Settings } from "../schemas/settings.ts";
import { bytesInWords, durationInWords, numberInWords } from "../schemas/words.ts";
import { rowBytesOf, rowsPerShardOf, scaleOf } from "../stages/doctor/scale.ts";
import { secondsPerTriple } from "../stages/doctor/timing.ts";
import { simulateMaking } from "../stages/doctor/work-simulation.ts";
import { isPublishedTeacher } from "../stages/published/teacher.ts";
import { planDenoiser, readDenoiser } from "../stages/runs/model.ts";

/** Where no teacher is named: Stable Diffusion 1.5's latents, and a fifth of an H100's half-precision peak for 50 guided steps. */
const ASSUMED = { values: 64 * 64 * 4, seconds: 0.35 };

/** Seconds that a worker is taken to load. */
const LOAD = 60;

/** Makings that are simulated, of which the mean is told; one alone of millions of shards. */
const MAKINGS = 3;
const MANY = 200_000;

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
}

/**
 * Reports what `simulate.count` triples of `teacher` take on many devices. Throws a usage failure where a published teacher's time is
 * not told: it would have to be read whole.
 */
export async function plan(
  options: PlanRequest & { teacher?: string | undefined; size?: ImageSize | undefined; settings: Settings; context: Context },
): Promise<void> {
  const { devices, preempt, price, epochs, settings, context } = options;
  const { report } = context;
  const { count: rows, batch } = settings.simulate;
  const { rowBytes, secondsPerRow } = await rowOf(options);
  const rowsPerShard = Math.min(rowsPerShardOf({ rowBytes, secondsPerRow, batch }), rows);
  const shards = Math.ceil(rows / rowsPerShard);
  const making = { workers: devices, shards, secondsPerShard: rowsPerShard * secondsPerRow, load: LOAD, preempt };
  const made = Array.from({ length: shards > MANY ? 1 : MAKINGS }, (_, seed) => simulateMaking({ ...making, seed }));
  const mean = (of: "overIdeal" | "lost" | "duplicated") => made.reduce((sum, each) => sum + each[of], 0) / made.length;
  // What loading costs is part of the simulated time.
  const job = { rows, rowBytes, rowsPerShard, secondsPerRow, devices, price: price ?? 0, epochs, overIdeal: mean("overIdeal"), load: 0 };
  const scale = scaleOf(job);
  const percent = (share: number) => `${numberInWords(100 * share)} %`;
  const { put, list, get, head } = scale.requests;
  report({
    type: "result",
    stage: "store",
    values: {
      rows,
      "bytes a row": rowBytes,
      bytes: bytesInWords(scale.bytes),
      shards: `${shards} of ${rowsPerShard} rows (simulate.rowsPerShard=${rowsPerShard})`,
      "each shard": `${bytesInWords(scale.shardBytes)}, ${durationInWords(scale.secondsPerShard)}`,
      trainer: `${bytesInWords(scale.trainerBytes)} of memory for windows of 4 shards`,
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
      "over the ideal": numberInWords(mean("overIdeal")),
      duplicated: percent(mean("duplicated")),
      ...(preempt !== undefined && {
        "lost to preemption": `${percent(mean("lost"))} (half a shard a preemption: ${percent(scale.secondsPerShard / (2 * preempt))})`,
      }),
    },
  });
  const dollars = (amount: number) => `$${amount < 10 ? amount.toFixed(2) : Math.round(amount)}`;
  report({
    type: "result",
    stage: "cost",
    values: {
      ...(price !== undefined && {
        devices: `${dollars(scale.dollars.devices)}, and ${dollars(scale.hours * devices * price)} with what is lost and waits`,
      }),
      storage: `${dollars(scale.dollars.month)} a month`,
      requests: `${dollars(scale.dollars.requests)} (${put} PUT, ${list} LIST, ${get} GET, ${head} HEAD)`,
      "an epoch read outside the region": dollars(scale.dollars.leaving),
    },
  });
}

/** Bytes and seconds of a row, as far as they are told, measured or assumed. */
async function rowOf(options: Parameters<typeof plan>[0]): Promise<{ rowBytes: number; secondsPerRow: number }> {
  const { teacher, size, rowSeconds, settings, context } = options;
  const { noise, dtype, trajectory = [], embeddings, textLength } = settings.simulate;
  const states = trajectory.filter((step) => step > 0).length;
  if (teacher === undefined) {
    const assumed = rowSeconds === undefined ? ` and ${ASSUMED.seconds} s a row, a fifth of an H100's peak,` : "";
    const message = `latents of 64 x 64 x 4, as Stable Diffusion 1.5's,${assumed} are assumed: --teacher and --row-seconds say better`;
    context.report({ type: "note", stage: "plan", message });
    return {
      rowBytes: rowBytesOf({ values: ASSUMED.values, states, dtype, noise, isText: true }),
      secondsPerRow: rowSeconds ?? ASSUMED.seconds,
    };
  }
  const { spec } = (await planDenoiser(teacher, { size, textLength })).teacher.description as DenoiserDescription;
  const shape = embeddings === "stored" ? textShapeOf(spec) : undefined;
  const rowBytes = rowBytesOf({
    ...{ values: spec.shape.reduce((product, side) => product * side, 1), states, dtype, noise },
    isText: conditionColumns(spec.network).includes("caption"),
    ...(shape && { embedding: embeddingSize(shape) }),
  });
  if (rowSeconds !== undefined) return { rowBytes, secondsPerRow: rowSeconds };
  if (isPublishedTeacher(teacher)) {
    throw badUsage(`Cannot plan with ${teacher}: say how long a row takes one device with --row-seconds S, as pipeline simulate prints it`);
  }
  const { signal, report } = context;
  return { rowBytes, secondsPerRow: await secondsPerTriple(await readDenoiser(teacher, { report }), { settings, signal }) };
}

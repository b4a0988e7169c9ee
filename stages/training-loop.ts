/**
 * The loop every training shares: batches in, steps in a worker, metrics, pictures and checkpoints on the way, exact
 * resume. Step k sees batch k whatever was killed before it, so a resumed run is the unbroken one.
 */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Compute } from "../engine/compute.ts";
import type { Weights } from "../engine/weights.ts";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { readLatestCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { writeAtomic } from "./store/atomic.ts";
import { textHash } from "./store/hash.ts";

/** What the loop needs of a trainer, wherever it runs. */
export interface Trainer<Batch> {
  step: (batch: Batch) => Promise<Record<string, number>>;
  save: () => Promise<Record<string, Weights>>;
  load: (sets: Record<string, Weights>) => Promise<void>;
}

/** Trains to `steps` and returns the final sets of weights. */
export async function trainingLoop<Batch extends { step: number }>(options: {
  name: string;
  folder: string;
  trainer: Trainer<Batch>;
  /** Batches from a step on, in order. */
  batches: (fromStep: number) => AsyncIterable<Batch>;
  schedule: { steps: number; batch: number; checkpointEvery: number; pictureEvery: number };
  /** Whatever the run is a function of: a checkpoint of another one is refused. */
  identity: string;
  picture?: (step: number) => Promise<void>;
  context: Context;
}): Promise<Record<string, Weights>> {
  const { name, folder, trainer, schedule, identity, picture, context } = options;
  const { steps, batch, checkpointEvery, pictureEvery } = schedule;
  const metricsPath = join(folder, "metrics.jsonl");
  await mkdir(folder, { recursive: true });
  const warn = (message: string): void => context.report({ type: "warning", stage: name, message });
  const checkpoint = await readLatestCheckpoint({ folder, warn });
  if (checkpoint) {
    if (checkpoint.metadata.identity !== identity) {
      throw new Failure(`Cannot resume ${folder}: its checkpoint was made with other data or settings. Choose another --out, or remove the folder.`);
    }
    await trainer.load(checkpoint.sets);
    if (checkpoint.step < steps) context.report({ type: "note", stage: name, message: `resuming at step ${checkpoint.step} of ${steps}` });
  }
  const start = checkpoint?.step ?? 0;
  await keepMetricsBefore(metricsPath, start);
  if (start >= steps) return (checkpoint as { sets: Record<string, Weights> }).sets;

  const save = async (step: number): Promise<Record<string, Weights>> => {
    const sets = await trainer.save();
    await writeCheckpoint({ folder, step, sets, metadata: { identity } });
    return sets;
  };
  if (start === 0) await picture?.(0);
  let lines = "";
  const began = performance.now();
  let [asked, waited] = [began, 0];
  for await (const item of options.batches(start)) {
    context.signal.throwIfAborted();
    if (item.step > start) waited += performance.now() - asked; // the first batch reads a whole window
    const values = await trainer.step(item);
    const done = item.step + 1;
    const bad = Object.entries(values).find(([, value]) => !Number.isFinite(value));
    if (bad) {
      throw new Failure(
        `Cannot go on training ${folder}: ${bad[0]} is ${bad[1]} at step ${item.step}. Lower the learning rate; the last checkpoint is sound.`,
      );
    }
    if (done % LOG_EVERY === 0 || done === steps) lines += `${JSON.stringify({ step: done, ...values })}\n`;
    context.report({ type: "progress", stage: name, done, total: steps, unit: "steps", values: { ...values, samples: done * batch } });
    if (done % checkpointEvery === 0 || done % pictureEvery === 0 || done === steps) {
      await appendFile(metricsPath, lines);
      lines = "";
    }
    if (done % pictureEvery === 0 || done === steps) await picture?.(done);
    if (done === steps) {
      const share = (100 * waited) / (performance.now() - began);
      context.report({ type: "note", stage: name, message: `waited for data during ${share.toFixed(2)} % of the time` });
      return save(done);
    }
    if (done % checkpointEvery === 0) await save(done);
    asked = performance.now();
  }
  throw new Failure(`Cannot finish training ${folder}: the batches ended before step ${steps}`);
}

const LOG_EVERY = 10;

/** A killed run may have logged steps after its last checkpoint; they come again. */
async function keepMetricsBefore(path: string, step: number): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => "");
  const kept = text.split("\n").filter((line) => line !== "" && (JSON.parse(line) as { step: number }).step <= step);
  await writeAtomic(path, kept.map((line) => `${line}\n`).join(""));
}

/** The calls of a trainer in a worker, as plain functions. */
export function callsOf<Batch>(
  worker: Compute<{
    step: (batch: Batch) => Promise<Record<string, number>>;
    save: () => Promise<Record<string, Weights>>;
    load: (sets: Record<string, Weights>) => Promise<void>;
  }>,
): Trainer<Batch> {
  return {
    step: (batch) => worker.call("step", batch),
    save: () => worker.call("save", undefined as never),
    load: (sets) => worker.call("load", sets),
  };
}

/** Settings that say when something is written, with how many threads, or where something lies whose hash counts instead. */
const INCIDENTAL = new Set(["checkpointEvery", "pictureEvery", "threads", "from"]);

/** What a run is a function of, as one hash. */
export function identityOf(value: unknown): string {
  return textHash(JSON.stringify(value, (key, part) => (INCIDENTAL.has(key) ? undefined : part)));
}

/** RUN/pictures/0001000.png */
export const pictureAt = (folder: string, step: number): string =>
  join(folder, "pictures", `${String(step).padStart(7, "0")}.png`);

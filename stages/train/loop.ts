/**
 * The loop every training shares: batches in, steps in a worker, metrics, pictures and checkpoints on the way, exact
 * resume. Step k sees batch k whatever was killed before it, so a resumed run is the unbroken one.
 */
import type { Compute } from "../../engine/compute.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { numberInWords } from "../../schemas/words.ts";
import { readLatestCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { openChronicle } from "../runs/record.ts";
import { isSpent, NOTHING_YET, type Selection, selected } from "../runs/selection.ts";
import { textHash } from "../../store/hash.ts";

/** What the loop needs of a trainer, wherever it runs. */
export interface Trainer<Batch> {
  step: (batch: Batch) => Promise<Record<string, number>>;
  save: () => Promise<Record<string, Weights>>;
  load: (sets: Record<string, Weights>) => Promise<void>;
}

/** What is measured of a training on its way. */
export interface Measuring {
  /** Steps; the last one is measured whatever it says. */
  every: number;
  /** Figures of the moving average after `step` steps, for metrics.jsonl. */
  measure: (step: number) => Promise<{ distance: number } & Record<string, number>>;
  /** best: the moving average of the least distance is kept as the set `best`. */
  keep: "best" | "last";
  /** Measurements in a row without a lesser distance after which training ends; 0: never before `steps`. */
  patience: number;
  /** What distances are a function of beside the weights: those measured otherwise are not compared with. */
  identity: string;
}

/** Trains to `steps`, or until patience ends, and returns the final sets of weights. */
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
  measuring?: Measuring;
  context: Context;
}): Promise<Record<string, Weights>> {
  const { name, folder, trainer, schedule, identity, picture, measuring, context } = options;
  const { steps, batch, checkpointEvery, pictureEvery } = schedule;
  const warn = (message: string): void => context.report({ type: "warning", stage: name, message });
  const note = (message: string): void => context.report({ type: "note", stage: name, message });
  const checkpoint = await readLatestCheckpoint({ folder, warn });
  let selection: Selection = NOTHING_YET;
  let best: Weights | undefined;
  if (checkpoint) {
    if (checkpoint.metadata.identity !== identity) {
      throw new Failure(
        `Cannot resume ${folder}: its checkpoint was made with other data or settings. Choose another --out, or remove the folder.`,
      );
    }
    const { best: kept, ...sets } = checkpoint.sets;
    await trainer.load(sets);
    const measured = checkpoint.metadata.measured as { identity: string; selection: Selection } | undefined;
    if (measured && measured.identity === measuring?.identity) [selection, best] = [measured.selection, kept];
    if (checkpoint.step < steps) note(`resuming at step ${checkpoint.step} of ${steps}`);
  }
  const start = checkpoint?.step ?? 0;
  const isOver = (step: number): boolean => step >= steps || isSpent(selection, measuring?.patience ?? 0);
  if (checkpoint && isOver(start)) return checkpoint.sets;
  const chronicle = await openChronicle({ folder, name, steps, batch, from: start, context });

  const save = async (step: number): Promise<Record<string, Weights>> => {
    const sets = { ...(await trainer.save()), ...(best && { best }) };
    const metadata = { identity, ...(measuring && { measured: { identity: measuring.identity, selection } }) };
    await writeCheckpoint({ folder, step, sets, metadata });
    return sets;
  };
  /** Figures of the moving average, after which the best weights are those of this step if it was the best. */
  const measure = async ({ keep, ...of }: Measuring, step: number): Promise<Record<string, number>> => {
    const figures = await of.measure(step);
    selection = selected(selection, { step, distance: figures.distance });
    const { best: least } = selection;
    if (least?.step === step && keep === "best") best = (await trainer.save()).average;
    const words = least && least.step !== step ? `; the least was ${numberInWords(least.distance)} at step ${least.step}` : "";
    note(`online distance ${numberInWords(figures.distance)} at step ${step}${words}`);
    return figures;
  };
  const paint = async (step: number): Promise<void> => {
    await picture?.(step);
    await chronicle.painted(step);
  };

  /** All steps from `start` on. */
  const run = async (): Promise<Record<string, Weights>> => {
    if (start === 0) {
      await paint(0);
      await chronicle.flush();
    }
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
      context.report({ type: "progress", stage: name, done, total: steps, unit: "steps", values: { ...values, samples: done * batch } });
      const isMeasured = measuring !== undefined && (done % measuring.every === 0 || done === steps);
      const figures = isMeasured ? await measure(measuring, done) : {};
      const isLast = isOver(done);
      if (done % LOG_EVERY === 0 || isMeasured || isLast || RARE in values) chronicle.log({ step: done, ...values, ...figures });
      if (done % pictureEvery === 0 || isLast) await paint(done);
      await chronicle.passed(done);
      if (done % checkpointEvery === 0 || done % pictureEvery === 0 || isMeasured) await chronicle.flush();
      if (isLast) {
        if (done < steps)
          note(`ends at step ${done} of ${steps}: ${selection.since} distances in a row were no less than the least (patience)`);
        const share = (100 * waited) / (performance.now() - began);
        note(`waited for data during ${share.toFixed(2)} % of the time`);
        await chronicle.end(done < steps ? "ended early" : "finished");
        return save(done);
      }
      if (done % checkpointEvery === 0) await save(done);
      asked = performance.now();
    }
    throw new Failure(`Cannot finish training ${folder}: the batches ended before step ${steps}`);
  };
  try {
    return await run();
  } catch (error) {
    await chronicle.end("stopped", (error as Error | undefined)?.message).catch(() => {}); // the first error is the one to report
    throw error;
  }
}

/** Steps between two lines of metrics. */
const LOG_EVERY = 10;
/** A figure that only some steps have: each of them gets a line. */
const RARE = "r1";

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
const INCIDENTAL = new Set([
  ...["checkpointEvery", "pictureEvery", "threads", "from"],
  ...["distanceEvery", "distanceCount", "distanceFeatures", "keep", "patience"], // they choose among steps, and change none
]);

/** What a run is a function of, as one hash. */
export function identityOf(value: unknown): string {
  return textHash(JSON.stringify(value, (key, part) => (INCIDENTAL.has(key) ? undefined : part)));
}

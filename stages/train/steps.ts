/** The parts that a step of training passes through: steps | measured | recorded | kept. */
import type { Batch } from "../../methods/method.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Figures } from "../../schemas/figures.ts";
import type { Turn } from "../flow/mod.ts";
import type { RunRecord } from "../runs/record.ts";
import type { Adorn } from "../runs/ornament.ts";
import { selected } from "../runs/selection.ts";
import type { Measuring } from "./watch.ts";
import type { Progress } from "./progress.ts";
import type { Trainer, Training } from "./training.ts";

/** A step that was taken, and what is known of it. */
export interface Step {
  /** Steps done, this one counted. */
  done: number;
  figures: Figures;
  isMeasured?: boolean;
  isLast?: boolean;
}

/** What the parts share. */
export interface Parts {
  training: Training<unknown>;
  trainer: Trainer;
  progress: Progress;
  measuring?: Measuring;
  record: RunRecord;
  adorn: Adorn;
  context: Context;
}

/**
 * Takes the batch's step. Throws a Failure where a figure is not finite; where not every step's figures are read back from the device, at
 * the next step whose figures are.
 */
export function steps({ training, trainer, progress, measuring }: Parts): Turn<Batch, Step> {
  const { out, settings, job } = training;
  const unsound = (what: string): Failure =>
    new Failure(`Cannot go on training ${out}: ${what}. Lower the learning rate; the last checkpoint is sound.`);
  return async (item) => {
    const { step } = item;
    const done = step + 1;
    progress.begun = done;
    const every = [LOG_EVERY, settings.pictureEvery, ...(measuring ? [measuring.every] : [])];
    const isShown = done === 1 || done === job.optimiser.steps || progress.isDue(done) || every.some((count) => done % count === 0);
    const figures = await trainer.step(item, { isShown });
    const bad = Object.entries(figures).find(([, value]) => !Number.isFinite(value));
    if (bad) throw unsound(`${bad[0]} is ${bad[1]} at step ${step}`);
    if (isShown && !(await trainer.isSound())) throw unsound(`a figure of step ${step}, or of one shortly before it, is not finite`);
    return { done, figures };
  };
}

/** Measures the EMA now and then; its weights are kept where it is the best so far. */
export function measured({ training, trainer, progress, measuring }: Parts): Turn<Step, Step> {
  const { method, job } = training;
  return async (step) => {
    const { done } = step;
    if (!measuring || (done % measuring.every !== 0 && done !== job.optimiser.steps)) return { ...step, isLast: progress.isOver(done) };
    const figures = await measuring.measure(done);
    progress.selection = selected(progress.selection, { step: done, distance: figures.distance });
    const isBest = progress.selection.best?.step === done;
    if (isBest && measuring.keep === "best") progress.best = await trainer.read(method.makes, "average");
    return { ...step, figures: { ...step.figures, ...figures }, isMeasured: true, isLast: progress.isOver(done) };
  };
}

/** Steps between two lines of metrics. */
const LOG_EVERY = 10;

/** Reports the step, and writes down what there is to tell: a line of metrics, a picture, the run page. */
export function recorded({ training, trainer, progress, record, adorn, context }: Parts): Turn<Step, Step> {
  const { name, settings, method, job } = training;
  const { steps: total, batch } = job.optimiser;
  const isRare = (figures: Figures): boolean => (method.rare ?? []).some((name) => name in figures);
  let shown: Figures = {}; // those that were read last
  return async (step) => {
    const { done, figures, isMeasured, isLast } = step;
    if ("loss" in figures) shown = figures;
    context.report({ type: "progress", stage: name, done, total, unit: "steps", values: { ...shown, samples: done * batch } });
    if (done % LOG_EVERY === 0 || isMeasured || isLast || isRare(figures)) record.log({ step: done, ...figures });
    const isPictured = done % settings.pictureEvery === 0;
    if (isPictured || isLast) await pictured({ training, trainer, record, adorn }, done);
    await record.passed(done);
    if (progress.isDue(done) || isPictured || isMeasured) await record.flush();
    return step;
  };
}

/** Draws what there is to see after `done` steps. */
export async function pictured(
  { training, trainer, record, adorn }: Pick<Parts, "training" | "trainer" | "record" | "adorn">,
  done: number,
): Promise<void> {
  await adorn("its pictures", async () => training.picture?.(done, trainer));
  await record.pictured(done);
}

/** Writes a checkpoint where it is time for one; after the last step says how the training ended. */
export function kept({ training, progress, record, context }: Parts): Turn<Step, Step> {
  const { name, job } = training;
  const { steps: total } = job.optimiser;
  const note = (message: string): void => context.report({ type: "note", stage: name, message });
  return async (step) => {
    const { done, isLast } = step;
    if (isLast) {
      const { since } = progress.selection;
      if (done < total) note(`ends at step ${done} of ${total}: ${since} distances in a row were no less than the least (patience)`);
      await record.end(done < total ? "ended early" : "finished");
    }
    if (isLast || progress.isDue(done)) await progress.save(done);
    progress.done = done;
    return step;
  };
}

/** How far a training is: the step, what was measured best, and the checkpoint that a stopped one goes on from. */
import type { Weights } from "../../engine/weights.ts";
import type { Context } from "../../schemas/events.ts";
import type { AnyMethod } from "../../methods/registry.ts";
import { Failure } from "../../schemas/failure.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";
import type { Settings } from "../../schemas/settings.ts";
import { isSpent, NOTHING_YET, type Selection } from "../runs/selection.ts";
import type { Measuring } from "./watch.ts";
import { oldestCheckpoint, readLatestCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { type Differences, differencesFrom, settingsDifferences } from "./identity.ts";
import { productOf } from "./product.ts";
import type { KeptLora, Trainer, Training } from "./training.ts";

export interface Progress {
  /** Steps done when it was opened. */
  readonly from: number;
  /** Steps that the trainer has begun, and those that have passed all parts since. */
  begun: number;
  done: number;
  selection: Selection;
  /** The EMA of the least distance, where it is kept. */
  best?: Weights;
  /** Whether nothing is left to do after `step` steps: all are done, or patience has ended. */
  isOver: (step: number) => boolean;
  /** Whether a checkpoint is due after `step` steps. */
  isDue: (step: number) => boolean;
  /** Writes a checkpoint of all that the training needs to go on exactly. */
  save: (step: number) => Promise<void>;
  /** The same of the last step of a training that was stopped, where it is none's yet and nothing was given up since. */
  saveStopped: () => Promise<void>;
}

/** The set of a checkpoint that holds the EMA of the least distance. */
const BEST = "best";

/**
 * Throws a Failure where a run folder holds a checkpoint of other settings, as far as they are known before the data is: a run
 * in phases would otherwise make the first of them for nothing.
 */
export async function checkSettings(options: { out: string; method: AnyMethod; settings: Settings }): Promise<void> {
  const { out, method, settings } = options;
  const checkpoint = await readLatestCheckpoint({ folder: out });
  if (!checkpoint) return;
  const differences = await settingsDifferences(out, checkpoint.metadata.identity, { method, settings, group: "train" });
  if (differences.named.length > 0) throw otherRun(out, "train", differences);
}

/** The failure of a training whose folder holds another run: what differs, and how to train further than it did. */
function otherRun(out: string, group: string, { named, isOtherNetwork }: Differences): Failure {
  const [first, more] = [named.slice(0, NAMED).join("; "), named.length - NAMED];
  const which = first && ` (${first}${more > 0 ? `; and ${more} more` : ""})`;
  const isFurther = FURTHER.includes(group) && !isOtherNetwork;
  const remedy = isFurther ? `train it further by --set ${group}.from=${out} with another --out` : "name another --out";
  return new Failure(
    `Cannot resume ${out}: its checkpoint was made with other settings or data${which}. Repeat its settings, or ${remedy}.`,
  );
}

/** Differences that are named. */
const NAMED = 6;
/** Groups of settings in which an earlier run can be named to start from. */
const FURTHER = ["train", "pretrain.teacher"];

/**
 * Loads the newest checkpoint of the run folder into the trainer, if there is one. Throws a Failure where it is one of
 * another run: of other data, settings or method.
 */
export async function openProgress(options: {
  training: Training<unknown>;
  trainer: Trainer;
  measuring?: Measuring;
  context: Context;
}): Promise<Progress> {
  const { training, trainer, measuring, context } = options;
  const { name, out: folder, identity, group } = training;
  const { steps } = training.job.optimiser;
  const report = (type: "warning" | "note", message: string): void => context.report({ type, stage: name, message });
  const checkpoint = await readLatestCheckpoint({ folder, warn: (message) => report("warning", message) });
  const from = checkpoint?.step ?? 0;
  let saved = from;
  const every = training.settings.checkpointEvery ?? Math.min(1000, Math.max(50, Math.ceil(steps / 10)));
  const progress: Progress = {
    from,
    begun: from,
    done: from,
    selection: NOTHING_YET,
    isDue: (step) => step % every === 0, // as asked for, or so often that little work is lost to a kill, however short the training
    isOver: (step) => step >= steps || isSpent(progress.selection, measuring?.patience ?? 0),
    save: async (step) => {
      if (!(await trainer.isSound())) {
        throw new Failure(
          `Cannot keep step ${step} of ${folder}: a figure of it, or of one shortly before it, is not finite. ` +
            `Lower ${group}.learningRate; the last checkpoint is sound.`,
        );
      }
      const sets = { ...(await trainer.save()), ...(progress.best && { [BEST]: progress.best }) };
      for (const [set, weights] of Object.entries(sets)) if (/\.(network|average)$/.test(set)) requireFinite(weights, training, step);
      const measured = measuring && { measured: { identity: measuring.identity, selection: progress.selection } };
      await writeCheckpoint({ folder, step, sets, metadata: { identity: identity.hash, ...measured }, isRegular: progress.isDue });
      saved = step;
      await training.push?.();
      await training.reader?.passed(await oldestCheckpoint(folder));
    },
    saveStopped: async () => {
      if (progress.done > saved && progress.begun === progress.done) await progress.save(progress.done);
    },
  };
  if (!checkpoint) {
    const made = await productOf(folder, training.method.makes);
    if (!made) return progress;
    throw new Failure(`Cannot resume ${folder}: it holds ${made} and no checkpoint to go on from. Choose another --out.`);
  }
  if (checkpoint.metadata.identity !== identity.hash) {
    throw otherRun(folder, group, await differencesFrom(folder, checkpoint.metadata.identity, training));
  }
  const { [BEST]: best, ...sets } = checkpoint.sets;
  await trainer.load(sets);
  const measured = checkpoint.metadata.measured as { identity: string; selection: Selection } | undefined;
  if (measured && measured.identity === measuring?.identity) {
    progress.selection = measured.selection;
    progress.best = best;
  }
  if (checkpoint.step < steps) report("note", `resuming at step ${checkpoint.step} of ${steps}`);
  return progress;
}

/** What is trained of the weights that the run is to write: the EMA of the least distance, or the last one. */
export async function keptWeights(training: Training<unknown>, trainer: Trainer, progress: Progress): Promise<Weights> {
  const weights = await trainer.whole(training.method.makes, await keptOf(training, trainer, progress));
  requireFinite(weights, training);
  return weights;
}

/** The LoRA in those weights, where one is trained. */
export async function keptLora(training: Training<unknown>, trainer: Trainer, progress: Progress): Promise<KeptLora | undefined> {
  const lora = await trainer.lora(training.method.makes);
  return lora && { ...lora, trained: await keptOf(training, trainer, progress) };
}

async function keptOf({ settings, method }: Training<unknown>, trainer: Trainer, { best }: Progress): Promise<Weights> {
  return (settings.keep === "best" ? best : undefined) ?? (await trainer.read(method.makes, "average"));
}

/** Throws a Failure where a training has diverged so far that weights are not finite: nothing may be made of them. */
function requireFinite(weights: Weights, { out, group }: Training<unknown>, step?: number): void {
  const [name] = Object.entries(weights).find(([, { data }]) => countNotFinite(data) > 0) ?? [];
  if (name === undefined) return;
  const when = step === undefined ? "at its end" : `after step ${step}`;
  throw new Failure(
    `Cannot keep the weights of ${out} ${when}: ${name} holds values that are not finite, the training diverged. ` +
      `Lower ${group}.learningRate and train into another --out.`,
  );
}

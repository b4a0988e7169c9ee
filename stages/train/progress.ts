/** How far a training is: the step, what was measured best, and the checkpoint that a stopped one goes on from. */
import type { Weights } from "../../engine/weights.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { isSpent, NOTHING_YET, type Selection } from "../runs/selection.ts";
import type { Measuring } from "./watch.ts";
import { readLatestCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { differencesFrom } from "./identity.ts";
import { productOf } from "./product.ts";
import type { Trainer } from "./training.ts";
import type { Training } from "./training.ts";

export interface Progress {
  /** Steps done when it was opened. */
  readonly from: number;
  selection: Selection;
  /** The EMA of the least distance, where it is kept. */
  best?: Weights;
  /** Whether nothing is left to do after `step` steps: all are done, or patience has ended. */
  isOver: (step: number) => boolean;
  /** Writes a checkpoint of all that the training needs to go on exactly. */
  save: (step: number) => Promise<void>;
}

/** The set of a checkpoint that holds the EMA of the least distance. */
const BEST = "best";

/** The failure of a training whose folder holds another run: what differs, and how to train further than it did. */
async function otherRun({ out, identity, group, method }: Training<unknown>, found: unknown): Promise<Failure> {
  const differences = await differencesFrom(out, found, { identity, group, method });
  const [first, more] = [differences.slice(0, NAMED).join("; "), differences.length - NAMED];
  const named = first && ` (${first}${more > 0 ? `; and ${more} more` : ""})`;
  const further = FURTHER.includes(group) ? `to train it further add --set ${group}.from=${out} and another --out; or ` : "";
  return new Failure(
    `Cannot resume ${out}: its checkpoint was made with other settings or data${named}. ` +
      `It stays as it is: ${further}repeat its settings, or choose another --out.`,
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
  const { name, out: folder, identity } = training;
  const { steps } = training.job.optimiser;
  const report = (type: "warning" | "note", message: string): void => context.report({ type, stage: name, message });
  const checkpoint = await readLatestCheckpoint({ folder, warn: (message) => report("warning", message) });
  const progress: Progress = {
    from: checkpoint?.step ?? 0,
    selection: NOTHING_YET,
    isOver: (step) => step >= steps || isSpent(progress.selection, measuring?.patience ?? 0),
    save: async (step) => {
      const sets = { ...(await trainer.save()), ...(progress.best && { [BEST]: progress.best }) };
      const measured = measuring && { measured: { identity: measuring.identity, selection: progress.selection } };
      await writeCheckpoint({ folder, step, sets, metadata: { identity: identity.hash, ...measured } });
    },
  };
  if (!checkpoint) {
    const made = await productOf(folder, training.method.makes);
    if (!made) return progress;
    throw new Failure(`Cannot resume ${folder}: it holds ${made} and no checkpoint to go on from. Choose another --out.`);
  }
  if (checkpoint.metadata.identity !== identity.hash) throw await otherRun(training, checkpoint.metadata.identity);
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
export async function keptWeights(training: Training<unknown>, trainer: Trainer, { best }: Progress): Promise<Weights> {
  const { settings, method } = training;
  const chosen = settings.keep === "best" ? best : undefined;
  return trainer.whole(method.makes, chosen ?? (await trainer.read(method.makes, "average")));
}

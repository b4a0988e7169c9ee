/** Which step's weights a training keeps, and when it may stop: a pure function of the distances measured so far. */

export interface Selection {
  /** The least distance so far; the earliest of equal ones. */
  best?: { step: number; distance: number };
  /** Measurements since then. */
  since: number;
}

export const NOTHING_YET: Selection = { since: 0 };

/** The selection after one more measurement. */
export function selected(before: Selection, { step, distance }: { step: number; distance: number }): Selection {
  const isBetter = before.best === undefined || distance < before.best.distance;
  return isBetter ? { best: { step, distance }, since: 0 } : { ...before, since: before.since + 1 };
}

/** Whether `patience` measurements in a row were no better; 0 waits for ever. */
export const isSpent = ({ since }: Selection, patience: number): boolean => patience > 0 && since >= patience;

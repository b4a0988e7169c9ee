/** A known way in which a codebook goes wrong. */
import type { Rule } from "../../schemas/figures.ts";
import { mean, percent, recent } from "./statistics.ts";

/** Lines over which the use of the codes is averaged, and the share below which they have collapsed. */
const LINES = 20;
const COLLAPSED = 0.1;

/** Most images get the same few tokens. Reads the figure `used`, of the codes that a batch could use. */
export const codebookCollapse: Rule = (history) => {
  const used = recent(history, "used", LINES);
  if (used.length < LINES || mean(used) >= COLLAPSED) return undefined;
  return {
    name: "collapse of the codebook",
    seen: `a batch uses ${percent(mean(used))} of the codes that it could`,
    remedy: "a larger entropyWeight, fewer codes, or half of learningRate",
  };
};

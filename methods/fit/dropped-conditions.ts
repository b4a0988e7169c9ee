/** What a share of dropped conditions must fit, where it keeps the unconditional prediction alive for classifier-free guidance. */
import type { FitRule } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";

/** `guidance` names the setting of the scale that results are drawn with, and `scaleOf` reads it. */
export function dropConditionFit<S extends { dropCondition: number }>(
  guidance: string,
  scaleOf: (asked: Asked<S>) => number,
): FitRule<Asked<S>>[] {
  return [
    {
      settings: ["dropCondition", guidance],
      why: (asked) =>
        asked.isConditional && asked.own.dropCondition === 0 && scaleOf(asked) !== 1
          ? `guidance takes the unconditional prediction, which is never trained; set ${guidance} to 1, or drop some conditions`
          : undefined,
    },
    {
      settings: ["dropCondition", "network.condition"],
      why: ({ own, isConditional }) =>
        isConditional && own.dropCondition === 1
          ? "every condition would be dropped; set a lesser share, or network.condition=none"
          : undefined,
    },
  ];
}

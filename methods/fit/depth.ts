/** The rule that a trunk cut from the teacher's blocks cannot keep more of them than there are. */
import { trunkLimits } from "../../models/families/registry.ts";
import type { FitRule } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";

/** `setting` names how many blocks are kept, and `isTaken` says whether anything is cut from them at all; it then keeps all there are. */
export function depthFit<S extends object>(
  setting: keyof S & string,
  isTaken: (asked: Asked<S>) => boolean,
  remedy = "the discriminator is cut from the teacher's blocks; keep no more than there are",
): FitRule<Asked<S>> {
  return {
    settings: [setting, "network.depth"],
    why: (asked) => {
      const { depth = Number.POSITIVE_INFINITY } = trunkLimits(asked.planned) ?? {};
      if (asked.planned.network.kind === "published") return undefined; // its depth is no setting: all blocks are kept where more are named
      return isTaken(asked) && (asked.own[setting] as number) > depth ? remedy : undefined;
    },
    unasked: "pass",
  };
}

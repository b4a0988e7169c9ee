/** Rules of a trunk that is cut from the teacher's blocks: how many of them it keeps. */
import { trunkLimits } from "../../models/families/registry.ts";
import type { FitRule, IdleRule } from "../../schemas/fit.ts";
import type { Asked } from "../method.ts";

/**
 * That it keeps no more than there are. `setting` names how many, and `isTaken` says whether anything is cut from them; where nobody asked
 * for so many, all there are are kept.
 */
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

/** That `setting` has no effect where the trunk is there and is not cut: networks but for a DiT have no blocks to cut it from. */
export function depthIdle<S extends object>(setting: keyof S & string, isTaken: (asked: Asked<S>) => boolean): IdleRule<Asked<S>> {
  return {
    settings: [setting],
    why: (asked) =>
      isTaken(asked) && trunkLimits(asked.planned)?.depth === undefined ? "this kind of network is kept whole (network.kind)" : undefined,
  };
}

/** Every network family, by the name that settings and model.json give it. */
import type { DenoiserSpec } from "../../schemas/model.ts";
import { dit } from "./dit.ts";
import { type BoundFamily, type BoundKind, bound } from "./family.ts";
import type { SpecProblem } from "./problems.ts";
import { unet } from "./unet.ts";

const families: Readonly<Record<DenoiserSpec["network"]["kind"], BoundKind>> = {
  dit: bound(dit),
  unet: bound(unet),
};

/** The family of a specification, its config filled in. Throws a usage failure where there can be no such network. */
export function familyOf(spec: DenoiserSpec): BoundFamily {
  return families[spec.network.kind].of(spec);
}

/** What keeps a specification from being a network, by the keys to change; none where it is one. */
export function specProblems(spec: DenoiserSpec): SpecProblem[] {
  return families[spec.network.kind].problems(spec);
}

/** The names of all families. */
export const familyNames: readonly string[] = Object.keys(families);

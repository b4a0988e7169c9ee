/** Every network family, by the name that settings and model.json give it. */
import type { DenoiserSpec } from "../../schemas/model.ts";
import { dit } from "./dit.ts";
import { type BoundFamily, bound } from "./family.ts";
import { unet } from "./unet.ts";

const families: Readonly<Record<DenoiserSpec["network"]["kind"], (spec: DenoiserSpec) => BoundFamily>> = {
  dit: bound(dit),
  unet: bound(unet),
};

/** The family of a specification, its config filled in. */
export function familyOf(spec: DenoiserSpec): BoundFamily {
  return families[spec.network.kind](spec);
}

/** The names of all families. */
export const familyNames: readonly string[] = Object.keys(families);

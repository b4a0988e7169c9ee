/** Every network family, by the name that settings and model.json give it. */
import type { PlannedNetwork, Rules } from "../../schemas/fit.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { NetworkSettings } from "../../schemas/settings.ts";
import { dit } from "./dit.ts";
import { type BoundFamily, bound, type Family, type TrunkLimits } from "./family.ts";
import { unet } from "./unet.ts";

const families: Readonly<Record<DenoiserSpec["network"]["kind"], (spec: DenoiserSpec) => BoundFamily>> = {
  dit: bound(dit),
  unet: bound(unet),
};

const plans: Readonly<Record<DenoiserSpec["network"]["kind"], Pick<Family<never>, "rules" | "trunkLimits">>> = { dit, unet };

/** What must hold of a network's settings, by its family. */
export const familyRules = ({ kind }: Pick<NetworkSettings, "kind">): Rules<PlannedNetwork> => plans[kind].rules ?? {};

/** What a trunk of a network of these settings can be; undefined where its family is none. */
export const trunkLimits = (planned: PlannedNetwork): TrunkLimits | undefined => plans[planned.network.kind].trunkLimits?.(planned);

/** The family of a specification, its config filled in. */
export function familyOf(spec: DenoiserSpec): BoundFamily {
  return families[spec.network.kind](spec);
}

/** The names of all families. */
export const familyNames: readonly string[] = Object.keys(families);

/** Every network family, by the name that settings and model.json give it. */
import type { PlannedNetwork, Rules } from "../../schemas/fit.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { NetworkSettings } from "../../schemas/settings.ts";
import { controlled } from "./controlled.ts";
import { dit } from "./dit.ts";
import { type BoundFamily, bound, type Family, type TrunkLimits } from "./family.ts";
import { published } from "./published.ts";
import { stacked } from "./stacked.ts";
import { unet } from "./unet.ts";

type Kind = DenoiserSpec["network"]["kind"];

const families: Record<Kind, (spec: DenoiserSpec) => BoundFamily> = { dit: bound(dit), unet: bound(unet), published: bound(published) };

const plans: Record<Kind, Pick<Family<never>, "rules" | "trunkLimits">> = { dit, unet, published };

/** Makes a family of one's own known in this thread, by its name: no settings and no model.json speak of it. */
export function addFamily<C>(family: Family<C>): void {
  families[family.name as Kind] = bound(family);
  plans[family.name as Kind] = family;
}

/** What must hold of a network's settings, by its family. */
export const familyRules = ({ kind }: Pick<NetworkSettings, "kind">): Rules<PlannedNetwork> => plans[kind].rules ?? {};

/** What a trunk of a network of these settings can be; undefined where its family is none. */
export const trunkLimits = (planned: PlannedNetwork): TrunkLimits | undefined =>
  planned.network.stack === undefined ? plans[planned.network.kind].trunkLimits?.(planned) : undefined;

/** The family of a specification, its config filled in. */
export function familyOf(spec: DenoiserSpec): BoundFamily {
  const { stack, control, ...network } = spec.network;
  const single = families[network.kind]({ ...spec, network });
  const whole = stack === undefined ? single : stacked(single, spec);
  return control ? controlled(whole, spec) : whole;
}

/** The names of the families that settings can ask for: all but the published ones, which come from folders. */
export const familyNames: readonly string[] = Object.keys(families).filter((name) => name !== published.name);

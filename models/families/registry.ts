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

/** A family by its specification, and what must hold of settings before there is one. */
interface Known {
  bind: (spec: DenoiserSpec) => BoundFamily;
  plan: Pick<Family<never>, "rules" | "trunkLimits">;
}

const known = <C>(family: Family<C>): Known => ({ bind: bound(family), plan: family });

const families: Record<Kind, Known> = { dit: known(dit), unet: known(unet), published: known(published) };

/** Makes a family of one's own known in this thread, by its name: no settings and no model.json speak of it. */
export function addFamily<C>(family: Family<C>): void {
  families[family.name as Kind] = known(family);
}

/** What must hold of a network's settings, by its family. */
export const familyRules = ({ kind }: Pick<NetworkSettings, "kind">): Rules<PlannedNetwork> => families[kind].plan.rules ?? {};

/** What a trunk of a network of these settings can be; undefined where its family is none. */
export const trunkLimits = (planned: PlannedNetwork): TrunkLimits | undefined =>
  planned.network.stack === undefined ? families[planned.network.kind].plan.trunkLimits?.(planned) : undefined;

/** The family of a specification, its config filled in. */
export function familyOf(spec: DenoiserSpec): BoundFamily {
  const { stack, control, ...network } = spec.network;
  const single = families[network.kind].bind({ ...spec, network });
  const whole = stack === undefined ? single : stacked(single, spec);
  return control ? controlled(whole, spec) : whole;
}

/** The names of the families that settings can ask for: all but the published ones, which come from folders. */
export const familyNames: readonly string[] = Object.keys(families).filter((name) => name !== published.name);

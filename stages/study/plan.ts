/** From a study, settings and a number of seeds to the list of its runs. */
import { isDeepStrictEqual } from "node:util";
import { badUsage } from "../../schemas/failure.ts";
import { didYouMean, unknownName } from "../../schemas/nearest.ts";
import { methodLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import type { Settings } from "../../schemas/settings.ts";
import { methodNamed, ownSettings } from "../../methods/registry.ts";
import { everyMethod } from "./every-method.ts";
import { type Study, studies, type Variant } from "./studies.ts";

/** One training of one variant. */
export interface Job {
  variant: Variant;
  /** 0, 1, ...: added to the settings' seed. */
  seed: number;
  settings: Settings;
}

/** All studies there are. */
export const allStudies: readonly Study[] = [...studies, everyMethod()];

/** The study of that name. Throws a usage failure that suggests the nearest. */
export function studyNamed(name: string, known: readonly Study[] = allStudies): Study {
  const study = known.find((candidate) => candidate.name === name);
  if (study) return study;
  throw unknownName(name, { what: "study", whats: "studies", names: known.map((candidate) => candidate.name) });
}

/**
 * Every run of a study, all variants of the first seed before the second: a part of the list is a comparison already.
 * `images` is the latent store of the real images, if there is one: variants that need it are left out without; `only`
 * names the variants wanted. Throws a usage failure for an unknown name, and where the settings make two variants the same.
 */
export function planStudy(options: { study: Study; settings: Settings; seeds: number; only?: readonly string[]; images?: string }): Job[] {
  const { study, settings, seeds, images } = options;
  const names = study.variants.map(({ name }) => name);
  const { only = names } = options;
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw badUsage(`Cannot study "${unknown}" in ${study.name}: ${didYouMean(unknown, names, `its variants are ${names.join(", ")}`)}`);
  }
  const base = { ...settings, train: { ...settings.train, images: settings.train.images ?? images } };
  const variants = study.variants
    .filter(({ name, needsImages }) => only.includes(name) && (!needsImages || base.train.images !== undefined))
    .map((variant) => ({ variant, settings: settingsOf(study, variant, base) }));
  checkDistinct(study, variants);
  return Array.from({ length: seeds }, (_, seed) =>
    variants.map(({ variant, settings: own }) => ({ variant, seed, settings: { ...own, seed: settings.seed + seed } })),
  ).flat();
}

/** The steps of the settings are those of a variant in all: a method of several phases shares them among these. */
function settingsOf(study: Study, { name, changes, training, ...variant }: Variant, base: Settings): Settings {
  const { method = study.method } = variant;
  const whole = resolveSettings([
    { source: "the settings", values: base },
    ...(variant.method ? [methodLayer(variant.method)] : []),
    { source: `variant ${name}`, values: { train: { ...training, method, [method]: changes } } },
  ]);
  const shared = variant.method ? methodNamed(method).divide?.(ownSettings(methodNamed(method), whole.train), base.train.steps) : undefined;
  const { steps } = { ...whole.train, ...(variant.method && { steps: base.train.steps }), ...shared };
  const own = { ...(whole.train[method] as object), ...(shared?.own as object | undefined) };
  const settings: Settings = { ...whole, train: { ...whole.train, steps, [method]: own } };
  const { adversarialWeight = 0, adversarialStart = 0 } = own as {
    adversarialWeight?: number;
    adversarialStart?: number;
  };
  if (adversarialWeight > 0 && adversarialStart >= steps) {
    throw badUsage(
      `Cannot study "${name}" in ${steps} steps: its discriminator joins at step ${adversarialStart}; ` +
        `lower train.${method}.adversarialStart or give more --steps`,
    );
  }
  return settings;
}

function checkDistinct(study: Study, variants: readonly { variant: Variant; settings: Settings }[]): void {
  for (const [i, one] of variants.entries()) {
    const twin = variants.slice(0, i).find(({ settings }) => isDeepStrictEqual(settings, one.settings));
    if (!twin) continue;
    const what = Object.keys(twin.variant.changes).filter((key) => !(key in one.variant.changes));
    const remedy = what.map((key) => `train.${study.method}.${key}`).join(" or ") || "one of them";
    throw badUsage(`Cannot compare "${one.variant.name}" with "${twin.variant.name}": these settings make them the same; change ${remedy}`);
  }
}

/** Recipes: whole jobs as YAML in this folder, what `--preset NAME` and `--method NAME` start from. */
import { readdirSync, readFileSync } from "node:fs";
import { parse } from "yaml";
import { methodNames } from "../methods/registry.ts";
import { Failure } from "../schemas/failure.ts";
import { unknownName } from "../schemas/nearest.ts";
import { packageRoot } from "../schemas/package.ts";
import { merge } from "./merge.ts";

/** A part of the settings, and in one line what it is for. */
export interface Recipe {
  about: string;
  settings: Record<string, unknown>;
}

const folder = new URL("recipes/", packageRoot());
const names = readdirSync(folder).flatMap((file) => (file.endsWith(".yaml") ? [file.slice(0, -".yaml".length)] : []));

/** The names of the recipes for whole jobs: `--preset`. */
export const presetNames = (): string[] => names.filter((name) => !methodNames().includes(name));

/** The recipe of a whole job. Throws a usage failure that suggests the nearest. */
export function presetNamed(name: string): Recipe {
  if (presetNames().includes(name)) return readRecipe(name);
  throw unknownName(name, { what: "preset", names: presetNames() });
}

/** What a method's recipe changes; nothing but the choice of the method where it has none. */
export function methodRecipe(name: string): Recipe {
  const chosen = { train: { method: name } };
  if (!names.includes(name)) return { about: name, settings: chosen };
  const { about, settings } = readRecipe(name);
  return { about, settings: merge(settings, chosen) as Recipe["settings"] };
}

/** A recipe over the one it extends. Throws a Failure where recipes extend each other in a circle. */
function readRecipe(name: string, below: readonly string[] = []): Recipe {
  if (below.includes(name)) throw new Failure(`Cannot read the recipe "${below[0]}": ${[...below, name].join(" extends ")}`);
  const text = readFileSync(new URL(`${name}.yaml`, folder), "utf8");
  const { about, extends: base, ...settings } = parse(text) as { about: string; extends?: string } & Recipe["settings"];
  if (base === undefined) return { about, settings };
  return { about, settings: merge(readRecipe(base, [...below, name]).settings, settings) as Recipe["settings"] };
}

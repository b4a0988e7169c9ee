/** From recipes, files and flags to the one validated set of settings. */
import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { parse } from "yaml";
import type * as z from "zod";
import { methodNamed } from "../methods/registry.ts";
import { badUsage } from "../schemas/failure.ts";
import { didYouMean } from "../schemas/nearest.ts";
import type { Settings } from "../schemas/settings.ts";
import { isGroup, merge } from "./merge.ts";
import { methodRecipe, presetNamed } from "./recipe.ts";
import { settingsSchema } from "./settings.ts";
import { expectation, settingPaths, wantsText } from "./settings-paths.ts";

/** Some settings and where they come from, in words that end an error message: `--count`, `fast.yaml`. */
export interface Layer {
  source: string;
  values: unknown;
}

/**
 * The settings that the layers make over the defaults; a later layer wins, lists are replaced whole.
 * Throws a usage failure that names the path, the value, its source and what was expected.
 */
export function resolveSettings(layers: readonly Layer[]): Settings {
  for (const layer of layers) {
    const parsed = settingsSchema.safeParse(layer.values);
    if (!parsed.success) throw badUsage(explain(parsed.error.issues[0]!, layer));
  }
  return settingsSchema.parse(layers.reduce<unknown>((merged, { values }) => merge(merged, values), {}));
}

/** The layer of a recipe for a whole job. */
export function presetLayer(name: string): Layer {
  return { source: `preset ${name}`, values: presetNamed(name).settings };
}

/** The layer of a method: the choice of it, and what its recipe says. */
export function methodLayer(name: string): Layer {
  return { source: `method ${name}`, values: methodRecipe(methodNamed(name).name).settings };
}

/** The layer of a YAML file; `sections` keeps only those top-level groups of it. */
export async function fileLayer(path: string, sections?: readonly (keyof Settings)[]): Promise<Layer> {
  let values: unknown;
  try {
    values = parse(await readFile(path, "utf8")) ?? {};
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : message.split("\n")[0];
    throw badUsage(`Cannot read settings from "${path}": ${reason}`);
  }
  if (sections && isGroup(values)) {
    values = Object.fromEntries(Object.entries(values).filter(([key]) => sections.includes(key as keyof Settings)));
  }
  return { source: path, values };
}

/** The layer of one typed value: `pathLayer("simulate.count", "500", "--count")`. */
export function pathLayer(path: string, text: string, source: string): Layer {
  const values = path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), typed(path, text));
  return { source, values };
}

/** The layer of one `--set path.to.key=value`. */
export function assignmentLayer(assignment: string): Layer {
  const at = assignment.indexOf("=");
  if (at < 1) throw badUsage(`Cannot read --set "${assignment}": expected path.to.key=value, as in simulate.count=500`);
  return pathLayer(assignment.slice(0, at).trim(), assignment.slice(at + 1).trim(), "--set");
}

function typed(path: string, text: string): unknown {
  if (wantsText(path)) return text;
  try {
    return parse(text) ?? text;
  } catch {
    return text;
  }
}

function explain(issue: z.core.$ZodIssue, { source, values }: Layer): string {
  if (issue.code === "unrecognized_keys") {
    const group = issue.path.join(".");
    const unknown = [...issue.path, issue.keys[0]!].join(".");
    const known = expectation(issue.path);
    const remedy = group === "" ? `the settings are ${known}` : `"${group}" is ${known}`;
    return `Unknown setting "${unknown}" in ${source}: ${didYouMeanPath(unknown, remedy)}`;
  }
  const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], values);
  const place = issue.path.length === 0 ? "the settings" : issue.path.join(".");
  const shown = typeof value === "string" ? JSON.stringify(value) : inspect(value, { breakLength: Infinity });
  return `Cannot set ${place} to ${shown} (${source}): expected ${issue.code === "custom" ? issue.message : expectation(issue.path)}`;
}

/** Prefers the path that ends in the very word: `count` means `simulate.count` before anything spelt like it. */
function didYouMeanPath(path: string, remedy: string): string {
  const paths = settingPaths();
  const last = path.slice(path.lastIndexOf(".") + 1);
  const same = paths.filter((candidate) => candidate.endsWith(`.${last}`));
  return same.length > 0 ? `did you mean "${same.join('" or "')}"?` : didYouMean(path, paths, remedy);
}

/** From recipes, files and flags to the one validated set of settings. */
import { existsSync } from "node:fs";
import { filesAt } from "../store/places/files.ts";
import { localCopy } from "../store/places/local-copy.ts";
import { isUrl, within } from "../store/places/place.ts";
import { inspect, isDeepStrictEqual } from "node:util";
import type * as z from "zod";
import { methodNamed } from "../methods/registry.ts";
import { badUsage } from "../schemas/failure.ts";
import { didYouMean } from "../schemas/nearest.ts";
import type { Settings } from "../schemas/settings.ts";
import { systemReason } from "../schemas/system-error.ts";
import { visible } from "../schemas/visible.ts";
import { onEveryCard, withDevicesApart } from "./devices.ts";
import type { Wishes } from "./fit.ts";
import { isGroup, merge } from "./merge.ts";
import { methodRecipe, presetNamed } from "./recipe.ts";
import { addMethod, settingsSchema } from "./settings.ts";
import { parseYaml, readYamlFile, type Yaml } from "./yaml.ts";
import { expectation, settingAt, settingPaths, wantsText } from "./settings-paths.ts";

/** Some settings and where they come from, in words that end an error message: `--count`, `fast.yaml`. */
export interface Layer {
  source: string;
  values: unknown;
  /** The text that a number at a path was given as, where it was typed. */
  textAt?: Yaml["textAt"];
  /** Where the user asked for these values in this very command, beyond naming a preset, a method or a run. */
  asked?: "line" | "file";
}

/**
 * The settings that the layers make over the defaults; a later layer wins, lists are replaced whole.
 * Throws a usage failure that names the path, the value, its source and what was expected.
 */
export function resolveSettings(given: readonly Layer[]): Settings {
  const layers = given.map((layer) => ({ ...layer, values: withDevicesApart(layer.values, layer.source) }));
  for (const layer of layers) {
    const parsed = settingsSchema.safeParse(layer.values);
    if (!parsed.success) throw badUsage(explain(parsed.error.issues[0]!, layer));
  }
  return onEveryCard(settingsSchema.parse(layers.reduce<unknown>((merged, { values }) => merge(merged, values), {})));
}

/**
 * The single settings that the user asked for by these layers, and where. A file may be the record of a whole run: of it
 * only what changes something counts.
 */
export function wishesOf(layers: readonly Layer[]): Wishes {
  const wishes = new Map<string, "line" | "file">();
  layers.forEach(({ values, asked }, i) => {
    if (asked === undefined) return;
    const before = resolveSettings(layers.slice(0, i));
    for (const path of leavesOf(values)) {
      if (asked === "line" || !isDeepStrictEqual(settingAt(values, path), settingAt(before, path))) wishes.set(path, asked);
    }
  });
  return wishes;
}

/** The paths of what is no group. */
function leavesOf(values: unknown, prefix = ""): string[] {
  if (!isGroup(values)) return [prefix];
  return Object.entries(values).flatMap(([key, value]) => leavesOf(value, prefix === "" ? key : `${prefix}.${key}`));
}

/** The layer of a recipe for a whole job. */
export function presetLayer(name: string): Layer {
  return { source: `preset ${name}`, values: presetNamed(name).settings };
}

/** The layer of a method: the choice of it, and what its recipe says. */
export function methodLayer(name: string): Layer {
  return { source: `method ${name}`, values: methodRecipe(methodNamed(name).name).settings };
}

/** What the path or URL of a file has, and no name of a method. */
const IN_PATHS = /[./\\]/;

/** The layer of a method that is named, or of one's own in the file that is named, which becomes one of the methods. */
export async function askedMethodLayer(asked: string | URL): Promise<Layer> {
  const isFile = asked instanceof URL || IN_PATHS.test(asked);
  return methodLayer(isFile ? (await addMethod(asked)).name : asked);
}

/** The layer of what the run or store in a folder recorded of these top-level groups; none where it recorded nothing. */
export async function recordedLayers(folder: string, sections: readonly (keyof Settings)[]): Promise<Layer[]> {
  const path = within(folder, "settings.yaml");
  if (!isUrl(path)) return existsSync(path) ? [await fileLayer(path, sections)] : [];
  if ((await filesAt(path).size(path)) === undefined) return [];
  return [{ ...(await fileLayer(await localCopy(path), sections)), source: path }];
}

/** The layer of a YAML file; `sections` keeps only those top-level groups of it. */
export async function fileLayer(path: string, sections?: readonly (keyof Settings)[]): Promise<Layer> {
  let yaml: Yaml;
  try {
    yaml = parseYaml(await readYamlFile(path));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : (systemReason(cause) ?? message);
    throw badUsage(`Cannot read settings from "${visible(path)}": ${visible(reason)}`);
  }
  let values = yaml.values ?? {};
  if (sections && isGroup(values)) {
    values = Object.fromEntries(Object.entries(values).filter(([key]) => sections.includes(key as keyof Settings)));
  }
  return { source: visible(path), values, textAt: yaml.textAt };
}

/** The layer of one typed value: `pathLayer("simulate.count", "500", "--count")`. */
export function pathLayer(path: string, text: string, source: string): Layer {
  const keys = path.split(".");
  const { values: value, textAt } = typed(path, text);
  const values = keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  return { source, values, textAt: (at) => textAt(at.slice(keys.length)), asked: "line" };
}

/** The layer of one `--set path.to.key=value`. */
export function assignmentLayer(assignment: string): Layer {
  const at = assignment.indexOf("=");
  if (at < 1) throw badUsage(`Cannot read --set "${visible(assignment, 200)}": expected path.to.key=value, as in simulate.count=500`);
  return pathLayer(assignment.slice(0, at).trim(), assignment.slice(at + 1).trim(), "--set");
}

function typed(path: string, text: string): Yaml {
  const asText: Yaml = { values: text, textAt: () => undefined };
  if (wantsText(path)) return asText;
  try {
    const yaml = parseYaml(text);
    return { ...yaml, values: yaml.values ?? text };
  } catch {
    return asText;
  }
}

function explain(issue: z.core.$ZodIssue, { source, values, textAt }: Layer): string {
  if (issue.code === "unrecognized_keys") {
    const group = issue.path.join(".");
    const unknown = [...issue.path, issue.keys[0]!].join(".");
    const known = expectation(issue.path);
    const remedy = group === "" ? `the settings are ${known}` : `"${group}" is ${known}`;
    return `Unknown setting "${visible(unknown, 200)}" in ${source}: ${didYouMeanPath(unknown, remedy)}`;
  }
  const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], values);
  const place = issue.path.length === 0 ? "the settings" : issue.path.join(".");
  const text = typeof value === "number" ? textAt?.(issue.path) : undefined;
  const shown = typeof value === "string" ? JSON.stringify(value) : (text ?? inspect(value, { breakLength: Infinity }));
  const expected = issue.code === "custom" ? issue.message : `${expectation(issue.path)}${bound(value)}`;
  return `Cannot set ${visible(place)} to ${visible(shown, 200)} (${source}): expected ${expected}`;
}

/** What a number may be at most, where this one is more: beyond 2^53 whole numbers are no longer apart. */
function bound(value: unknown): string {
  if (typeof value !== "number" || Math.abs(value) <= Number.MAX_SAFE_INTEGER) return "";
  return Number.isFinite(value) ? ", below 2^53 (9007199254740992)" : ", and one that is finite";
}

/** Prefers the path that ends in the very word: `count` means `simulate.count` before anything spelt like it. */
function didYouMeanPath(path: string, remedy: string): string {
  const paths = settingPaths();
  const last = path.slice(path.lastIndexOf(".") + 1);
  const same = paths.filter((candidate) => candidate.endsWith(`.${last}`));
  return same.length > 0 ? `did you mean "${same.join('" or "')}"?` : didYouMean(path, paths, remedy);
}

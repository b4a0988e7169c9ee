/** From presets, files and flags to the one validated set of settings, and to `settings.yaml` beside an output. */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { inspect } from "node:util";
import { parse, stringify } from "yaml";
import type * as z from "zod";
import { badUsage } from "./failure.ts";
import { didYouMean, unknownName } from "./nearest.ts";
import { presets } from "./presets.ts";
import { type Settings, settingsSchema } from "./settings.ts";
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

/** The layer of a named preset. */
export function presetLayer(name: string): Layer {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset === undefined) throw unknownName(name, { what: "preset", names: Object.keys(presets) });
  return { source: `preset ${name}`, values: preset.settings };
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

/** Writes `settings.yaml` into a folder, visible only when complete, and answers its path. */
export async function writeSettings(folder: string, settings: Settings): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "settings.yaml");
  await writeSettingsFile(path, settings);
  return path;
}

/** Writes the settings that made a file beside it: `grid.png` gets `grid.settings.yaml`. */
export async function writeSettingsBeside(output: string, settings: Settings): Promise<string> {
  const path = join(dirname(output), `${basename(output).replace(/\.[^.]+$/, "")}.settings.yaml`);
  await writeSettingsFile(path, settings);
  return path;
}

/** The text of `settings.yaml`. */
export function settingsText(settings: object): string {
  return stringify(settings, { flowCollectionPadding: false });
}

async function writeSettingsFile(path: string, settings: Settings): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(settingsText(settings));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function typed(path: string, text: string): unknown {
  if (wantsText(path)) return text;
  try {
    return parse(text) ?? text;
  } catch {
    return text;
  }
}

function merge(under: unknown, over: unknown): unknown {
  if (!isGroup(under) || !isGroup(over)) return over;
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) merged[key] = key in merged ? merge(merged[key], value) : value;
  return merged;
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
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

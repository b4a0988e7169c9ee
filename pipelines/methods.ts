/**
 * pipeline methods [NAME]
 *
 * methods | what each does and needs, or all of one with its settings
 */
import { type AnyMethod, methods, optimiserOf, ownSettings } from "../methods/registry.ts";
import { expectation } from "../recipes/settings-paths.ts";
import type { Context } from "../schemas/events.ts";
import { unknownName } from "../schemas/nearest.ts";
import type { Settings } from "../schemas/settings.ts";

/** Lists every method: what it does in one line, what it makes, what it needs with these settings, and its source. */
export function listMethods({ settings, context }: { settings: Settings; context: Context }): void {
  for (const method of methods) context.report({ type: "result", stage: method.name, values: factsOf(method, settings) });
  context.report({ type: "note", stage: "methods", message: "pipeline methods NAME shows one whole, with its settings" });
}

function factsOf(method: AnyMethod, settings: Settings) {
  const { about, source, makes } = method;
  return { about, makes, needs: needsOf(method, settings), source };
}

/**
 * Shows one method whole: its paper, what it needs and its phases with these settings, and each of its own settings.
 * Throws a usage failure that suggests the nearest for a name that is no method's.
 */
export function showMethod({ name, settings, context }: { name: string; settings: Settings; context: Context }): void {
  const method = methods.find((candidate) => candidate.name === name);
  if (!method) throw unknownName(name, { what: "method", names: methods.map((candidate) => candidate.name) });
  context.report({ type: "result", stage: name, values: factsOf(method, settings) });
  const phases = phasesOf(method, settings);
  if (phases.length > 0) context.report({ type: "table", stage: "phases", rows: phases });
  context.report({ type: "table", stage: "settings", rows: settingsOf(method) });
}

function trainingOf({ makes }: AnyMethod, settings: Settings) {
  return makes === "student" ? settings.train : settings.pretrain[makes];
}

function needsOf(method: AnyMethod, settings: Settings): string {
  const training = trainingOf(method, settings);
  const { rows, trajectory, images, frozen, uses = [] } = method.needs(ownSettings(method, training), optimiserOf(training));
  const needs = [
    ...(rows === "none" ? [] : [rows === "raw" ? "pixels" : rows]),
    ...(trajectory ? ["the teacher's states on the way (simulate.trajectory)"] : []),
    ...(images ? ["real images (train.images)"] : []),
    ...frozen.map(inWords),
    ...uses.map((role) => `${inWords(role)} where there is one`),
  ];
  return needs.join(", ") || "nothing";
}

const words: Record<string, string> = { perceptual: "a perceptual network", features: "image networks (train.features)" };
const inWords = (role: string): string => words[role] ?? `the ${role}`;

/** What each phase does, and what it changes of the settings. */
function phasesOf(method: AnyMethod, settings: Settings): { phase: string; does: string; with: string }[] {
  const phases = method.phases?.(ownSettings(method, trainingOf(method, settings))) ?? [];
  return phases.map((phase) => {
    const changes = "simulate" in phase ? phase.simulate : { ...phase.optimiser, ...(phase.train as object) };
    const changed = Object.entries(changes).map(([key, value]) => `${key}=${value}`);
    return { phase: phase.name, does: "simulate" in phase ? "simulate" : "train", with: changed.join(", ") };
  });
}

/** The settings that the method's file declares, by the paths that `--set` takes. */
function settingsOf({ name, makes, settings }: AnyMethod): { setting: string; default: string; accepted: string }[] {
  const group = makes === "student" ? ["train", name] : ["pretrain", makes];
  const defaults: Record<string, unknown> = settings.parse({});
  return Object.keys(settings.shape).map((key) => {
    const value = defaults[key];
    const shown = value === undefined ? "none" : typeof value === "string" ? value : JSON.stringify(value);
    return { setting: [...group, key].join("."), default: shown, accepted: expectation([...group, key]) };
  });
}

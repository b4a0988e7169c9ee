/**
 * Which settings fit each other and the data, and which have no effect: the one place that looks, before anything is
 * trained. Families, encoders, codecs and methods state the rules of their own settings; those of no one else stand here.
 */
import { type AnyMethod, methodFor, methodNamed, methodNames, optimiserOf, ownSettings } from "../methods/registry.ts";
import { codecRules } from "../models/codecs/codecs.ts";
import { encoderRules, isConditional } from "../models/encoders/own.ts";
import { familyRules } from "../models/families/registry.ts";
import type { Asked } from "../methods/method.ts";
import { badUsage } from "../schemas/failure.ts";
import type { FitRule, PlannedNetwork, Rules } from "../schemas/fit.ts";
import type { Settings } from "../schemas/settings.ts";
import { visible } from "../schemas/visible.ts";
import { type AnyTraining, commonRules, trainingRules } from "./fit-rules.ts";
import { type Part, readBy } from "./parts.ts";
import { settingAt } from "./settings-paths.ts";

/** What is to be looked at. */
export interface Plan {
  settings: Settings;
  parts: readonly Part[];
  /** Of the latents, [height, width, channels], where the data or the settings tell it. */
  shape?: PlannedNetwork["shape"];
  /** The settings that the user asked for in this command, beyond naming presets, methods and runs: where. */
  asked?: Wishes;
}

/** Paths of single settings, and whether they were asked for on the command line or in a file. */
export type Wishes = ReadonlyMap<string, "line" | "file">;

/** A rule with what it looks at. */
export interface BoundRule {
  kind: "fit" | "idle";
  settings: readonly string[];
  unasked?: FitRule<never>["unasked"];
  isWaste?: boolean;
  why: () => string | undefined;
}

/** Throws a usage failure of one sentence, which names both and their values, for the first settings that do not fit each other. */
export function checkFit(plan: Plan): void {
  const { refusals } = examineFit(plan);
  if (refusals[0] !== undefined) throw badUsage(refusals[0]);
}

/** Sentences about settings that do not fit each other, and about those that do little or nothing. */
export function examineFit(plan: Plan): { refusals: string[]; warnings: string[] } {
  const { settings, parts, asked = new Map() } = plan;
  const isAsked = (path: string): boolean => asked.has(path) || [...asked.keys()].some((wish) => wish.startsWith(`${path}.`));
  const refusals: string[] = [];
  const doubts: string[] = [];
  const idle = new Map<string, string>(); // one reason is enough for each
  for (const rule of rulesOf(plan)) {
    const why = rule.why();
    if (why === undefined) continue;
    if (rule.kind === "idle") {
      for (const path of rule.settings.filter(isAsked)) if (!idle.has(path)) idle.set(path, why);
      continue;
    }
    const [first = "", ...others] = rule.settings.map((path) => shown(settings, path));
    const both = `${first} with ${others.join(" and ")}`;
    const isWrong = !rule.isWaste && (rule.unasked === undefined || isAsked(rule.settings[0] as string));
    if (isWrong) refusals.push(`Cannot use ${both}: ${why}`);
    else if ((rule.isWaste || rule.unasked === "warn") && rule.settings.some(isAsked)) doubts.push(`${both}: ${why}`);
  }
  for (const [path, place] of asked) {
    const why = place === "line" ? whyUnread({ path, parts, settings }) : undefined;
    if (why !== undefined && !idle.has(path)) idle.set(path, why);
  }
  return { refusals, warnings: [...doubts, ...[...idle].map(([path, why]) => `${shown(settings, path)} has no effect: ${why}`)] };
}

/** Why no part of the work reads a setting; undefined where one does. */
function whyUnread({ path, parts, settings }: { path: string; parts: readonly Part[]; settings: Settings }): string | undefined {
  const [group = "", name = ""] = path.split(".");
  const { method } = settings.train;
  if (group === "train" && name !== method && methodNames().includes(name)) return `it is another method's (train.method is ${method})`;
  if (!path.includes(".") || group === "engine") return undefined;
  const isRead = parts.some((part) => readBy[part].some((read) => path.startsWith(`${read}.`)));
  return isRead ? undefined : "this command does not read it";
}

/** Every rule that applies to a plan. */
export function rulesOf({ settings, parts, shape }: Plan): BoundRule[] {
  const has = (part: Part): boolean => parts.includes(part);
  const planned: PlannedNetwork = { network: settings.network, ...(shape && { shape }) };
  return [
    ...(has("encode") ? bind(codecRules, settings) : []),
    ...(has("teacher") ? bind(familyRules(settings.network), planned) : []),
    ...(has("teacher") || has("prior") ? bind(encoderRules, planned) : []),
    ...trainings({ settings, parts }).flatMap(({ group, training, method }) => [
      ...bind(trainingRules(group), training),
      ...methodRules({ settings, planned, group, training, method, hasImages: has("encode") }),
    ]),
    ...(has("simulate") && !has("teacher") ? ofGivenTeacher({ settings, planned }) : []),
    ...bind(commonRules, { settings, parts }),
  ];
}

/** What simulation must fit of how its teacher was trained, which the teacher's run recorded. */
function ofGivenTeacher({ settings, planned }: { settings: Settings; planned: PlannedNetwork }): BoundRule[] {
  const [teacher] = trainings({ settings, parts: ["teacher"] }) as [Group];
  const rules = methodRules({ ...teacher, settings, planned, hasImages: false });
  return rules.filter(({ kind, settings: paths }) => kind === "fit" && paths.some((path) => path.startsWith("simulate.")));
}

interface Group {
  /** "pretrain.teacher", "train". */
  group: string;
  training: AnyTraining;
  method: AnyMethod;
}

/** The trainings among the parts. */
function trainings({ settings, parts }: Pick<Plan, "settings" | "parts">): Group[] {
  const pretrained = (["autoencoder", "perceptual", "teacher", "tokenizer", "prior"] as const).filter((part) => parts.includes(part));
  return [
    ...pretrained.map((part) => ({ group: `pretrain.${part}`, training: settings.pretrain[part], method: methodFor(part) })),
    ...(parts.includes("train") ? [{ group: "train", training: settings.train, method: methodNamed(settings.train.method) }] : []),
  ];
}

/** A method's own rules, with its names as whole paths. */
function methodRules(options: Group & { settings: Settings; planned: PlannedNetwork; hasImages: boolean }): BoundRule[] {
  const { settings, planned, group, training, method, hasImages } = options;
  const own = ownSettings(method, training) as object;
  const prefix = method.makes === "student" ? `${group}.${method.name}` : group;
  const paths: Record<string, string> = { seed: "seed" };
  for (const name of Object.keys(training)) paths[name] ??= `${group}.${name}`;
  for (const name of Object.keys(method.settings.shape)) paths[name] = `${prefix}.${name}`;
  const asked: Asked<never> = {
    own: own as never,
    optimiser: optimiserOf(training),
    settings,
    planned,
    imageSize: settings.images.size,
    isConditional: isConditional(settings.network),
    hasImages: hasImages || settings.train.images !== undefined,
  };
  const bound = bind((method.rules ?? {}) as Rules<Asked<never>>, asked);
  return bound.map((rule) => ({ ...rule, settings: rule.settings.map((name) => paths[name] ?? name) }));
}

function bind<T>({ fit = [], idle = [] }: Rules<T>, subject: T): BoundRule[] {
  return [
    ...fit.map(({ why, ...rule }) => ({ kind: "fit" as const, ...rule, why: () => why(subject) })),
    ...idle.map(({ settings, why }) => ({ kind: "idle" as const, settings, why: () => why(subject) })),
  ];
}

/** A setting with its value, as it could be typed. */
function shown(settings: Settings, path: string): string {
  const value = settingAt(settings, path);
  if (value === undefined) return `${path} (not set)`;
  return `${path}=${visible(typeof value === "string" ? value : JSON.stringify(value), 200)}`;
}

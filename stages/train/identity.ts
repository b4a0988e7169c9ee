/** What a training is a function of, part by part and as one hash: a checkpoint made with another is refused. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { Job } from "../../methods/method.ts";
import { type AnyMethod, optimiserOf, ownSettings, picked } from "../../methods/registry.ts";
import { differingKeys } from "../../schemas/manifest.ts";
import { orderSettings, type Settings, type TrainingSettings } from "../../schemas/settings.ts";
import { textHash } from "../../store/hash.ts";
import { readMark } from "../runs/folder.ts";

export interface Identity {
  hash: string;
  /** By name: method, own, optimiser, order, seed, subject and data. */
  parts: Readonly<Record<string, unknown>>;
}

/**
 * The method, its own settings, the optimiser's, the seed, the order of rows where the store may grow, and `data`: hashes of
 * all that is read. Settings that say when something is written, or with how many threads, do not count.
 */
export function identityOf(options: { method: AnyMethod; job: Job<never>; settings: TrainingSettings; data: unknown }): Identity {
  const { method, job, settings, data } = options;
  const order = picked(settings, Object.keys(orderSettings.shape));
  const { settings: own, optimiser, seed, subject } = job;
  const parts = { method: method.name, own, optimiser, order, seed, subject: { ...subject, plan: undefined }, data };
  return { hash: textHash(JSON.stringify(parts)), parts };
}

/**
 * In which settings and data the run of `hash` in a folder differs from one that is wanted, each as "train.steps: 20 instead
 * of 40": by its run.json, or where that does not tell of this very run, by its settings.yaml.
 */
export async function differencesFrom(
  folder: string,
  hash: unknown,
  wanted: { identity: Identity; group: string; method: AnyMethod },
): Promise<string[]> {
  const { identity, group, method } = wanted;
  const own = group === "train" ? `${group}.${method.name}` : group;
  const recorded = (await readMark(folder))?.identity;
  const isOfThis = recorded !== undefined && textHash(JSON.stringify(recorded)) === hash;
  const found = isOfThis ? recorded : await partsOfSettings(folder, group, method);
  if (found === undefined) return [];
  const { method: name, optimiser, order, own: ownParts, seed, subject, data } = JSON.parse(JSON.stringify(identity.parts));
  const expected = isOfThis
    ? { method: name, optimiser, order, own: ownParts, seed, subject, data }
    : { method: name, optimiser, order, own: ownParts, seed };
  const isOtherMethod = (found as { method?: unknown }).method !== name;
  const differing = differingKeys(found, expected).filter(({ key }) => !isOtherMethod || !/^own(\.|$)/.test(key)); // its own are others then
  return differing.map(({ key, found, expected }) => {
    const place = placeOf(key, { group, own });
    return place.isHash ? `${place.name} is another` : `${place.name}: ${inWords(found)} instead of ${inWords(expected)}`;
  });
}

/** As far as settings.yaml tells them: the parts that are settings. Undefined where it cannot be understood. */
async function partsOfSettings(folder: string, group: string, method: AnyMethod): Promise<object | undefined> {
  const text = await readFile(join(folder, "settings.yaml"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  try {
    const settings = parse(text) as Settings;
    const training = group.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], settings) as TrainingSettings;
    return JSON.parse(
      JSON.stringify({
        method: group === "train" ? settings.train.method : method.name,
        optimiser: optimiserOf(training),
        order: picked(training, Object.keys(orderSettings.shape)),
        own: ownSettings(method, training),
        seed: settings.seed,
      }),
    ) as object;
  } catch {
    return undefined; // the folder's own identity has said already that it is another
  }
}

const DATA: Record<string, string> = {
  store: "the store",
  teacher: "the teacher",
  images: "the store of real images (train.images)",
  perceptual: "the perceptual network (train.perceptual)",
  start: "what it started from",
};

/** What a user calls a part of an identity, and whether its value is a hash. */
function placeOf(key: string, { group, own }: { group: string; own: string }): { name: string; isHash?: boolean } {
  const [part = "", ...rest] = key.split(".");
  const path = rest.join(".");
  if (part === "data") return { name: DATA[rest[0] as string] ?? "the data", isHash: true };
  if (part === "method") return { name: "train.method" };
  if (part === "own") return { name: [own, path].filter(Boolean).join(".") };
  if (part === "optimiser" || part === "order") return { name: [group, path].filter(Boolean).join(".") };
  if (part === "subject") return { name: path.replace(/^spec\./, "") };
  return { name: key };
}

function inWords(value: unknown): string {
  const text = value === undefined || value === null ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

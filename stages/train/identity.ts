/** What a training is a function of, part by part and as one hash: a checkpoint made with another is refused. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { Job } from "../../methods/method.ts";
import { type AnyMethod, optimiserOf, ownSettings, picked } from "../../methods/registry.ts";
import { differingKeys } from "../../schemas/manifest.ts";
import { orderSettings, type Settings, type TrainingSettings } from "../../schemas/settings.ts";
import { absent } from "../../schemas/system-error.ts";
import { textHash } from "../../store/places/hash.ts";
import { readMark } from "../runs/folder.ts";

export interface Identity {
  hash: string;
  /** By name: method, own, optimiser, order, seed, subject and data. */
  parts: Readonly<Record<string, unknown>>;
}

/**
 * The method, its own settings, the optimiser's, the seed, the order of rows where the store may grow, and `data`: hashes of
 * all that is read, of which the data's moments follow. Settings that say when something is written, or with how many threads,
 * do not count.
 */
export function identityOf(options: { method: AnyMethod; job: Job<never>; settings: TrainingSettings; data: unknown }): Identity {
  const { method, job, settings, data } = options;
  const order = picked(settings, Object.keys(orderSettings.shape));
  const { settings: own, optimiser, seed, subject } = job;
  const parts = { method: method.name, own, optimiser, order, seed, subject: { ...subject, plan: undefined, moments: undefined }, data };
  return { hash: textHash(JSON.stringify(parts)), parts };
}

/** In what a run differs from another one. */
export interface Differences {
  /** Each as "train.steps: 20 instead of 40". */
  named: string[];
  isOtherNetwork: boolean;
}

interface Wanted {
  group: string;
  method: AnyMethod;
}

/**
 * In which settings and data the run of `hash` in a folder differs from one that is wanted: by its run.json, or where that
 * does not tell of this very run, in settings alone by its settings.yaml.
 */
export async function differencesFrom(folder: string, hash: unknown, wanted: Wanted & { identity: Identity }): Promise<Differences> {
  const { identity, ...rest } = wanted;
  const parts = JSON.parse(JSON.stringify(identity.parts)) as Parts;
  const recorded = await recordedOf(folder, hash);
  if (recorded) return differences(recorded, parts, rest);
  const { subject: _subject, data: _data, ...settings } = parts;
  const found = await partsOfFile(folder, rest);
  return found ? differences(found, settings, rest) : { named: [], isOtherNetwork: false };
}

/** The same of settings alone, before the data is there. */
export async function settingsDifferences(
  folder: string,
  hash: unknown,
  { settings, ...wanted }: Wanted & { settings: Settings },
): Promise<Differences> {
  const recorded = await recordedOf(folder, hash);
  const found = recorded ?? (await partsOfFile(folder, wanted));
  if (!found) return { named: [], isOtherNetwork: false };
  const { method, own, optimiser, order, seed } = found;
  return differences({ method, own, optimiser, order, seed }, partsOfSettings(settings, wanted), wanted);
}

type Parts = Readonly<Record<string, unknown>>;

/** What run.json says that the run of a hash is a function of. */
async function recordedOf(folder: string, hash: unknown): Promise<Parts | undefined> {
  const recorded = (await readMark(folder))?.identity;
  return recorded !== undefined && textHash(JSON.stringify(recorded)) === hash ? (recorded as Parts) : undefined;
}

function differences(found: Parts, expected: Parts, { group, method }: Wanted): Differences {
  const own = group === "train" ? `${group}.${method.name}` : group;
  const isOtherMethod = found.method !== expected.method;
  const isOwn = (key: string): boolean => key === "own" || key.startsWith("own."); // of another method they are others anyhow
  const differing = differingKeys(found, expected).filter(({ key }) => !isOtherMethod || !isOwn(key));
  const named = differing.map(({ key, found, expected }) => {
    const place = placeOf(key, { group, own });
    return place.isHash ? `${place.name} is another` : `${place.name}: ${inWords(found)} instead of ${inWords(expected)}`;
  });
  return { named, isOtherNetwork: differing.some(({ key }) => key.startsWith("subject")) };
}

/** The parts that are settings, out of a folder's settings.yaml. Undefined where it cannot be understood. */
async function partsOfFile(folder: string, wanted: Wanted): Promise<Parts | undefined> {
  const text = (await readFile(join(folder, "settings.yaml"), "utf8").catch(absent)) ?? "";
  try {
    return partsOfSettings(parse(text) as Settings, wanted);
  } catch {
    return undefined; // the checkpoint has said already that it is another run
  }
}

function partsOfSettings(settings: Settings, { group, method }: Wanted): Parts {
  const training = group.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], settings) as TrainingSettings;
  const order = picked(training, Object.keys(orderSettings.shape));
  const name = group === "train" ? settings.train.method : method.name;
  const parts = { method: name, own: ownSettings(method, training), optimiser: optimiserOf(training), order, seed: settings.seed };
  return JSON.parse(JSON.stringify(parts)) as Parts;
}

const DATA: Record<string, string> = {
  store: "the store",
  teacher: "the teacher",
  images: "the store of real images (train.images)",
  perceptual: "the perceptual network (train.perceptual)",
  tokenizer: "the image tokenizer (train.tokenizer)",
  fewStep: "the few-step student (train.fewStep)",
  features: "an image network (train.features)",
  text: "a prompt or the negative one (simulate.prompts, simulate.negative)",
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

/**
 * Folders that commands write: each belongs to one kind and, at a time, to one process. What a folder is for is told from
 * what stands in it; RUN/run.json says it of runs, and what the run in it is a function of.
 */
import { mkdir, readdir, rmdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { filesAt, namesAt } from "../../store/places/files.ts";
import type { Holder } from "../../store/places/holder.ts";
import { holdFolder } from "../../store/places/lock.ts";
import { isUrl, within } from "../../store/places/place.ts";
import { shardOf } from "../../store/records/present.ts";
import { readText } from "../../store/places/text.ts";

/** What a command makes of a folder; "store" is one of either kind. */
export type FolderKind = keyof typeof titles;

const titles = {
  latents: "a latent store",
  triples: "a triple store",
  store: "a store",
  teacher: "a teacher",
  student: "a student",
  autoencoder: "an autoencoder",
  perceptual: "a perceptual network",
  tokenizer: "an image tokenizer",
  tokens: "a token store",
  prior: "a prior",
  training: "a training", // of an earlier version, which did not say what it makes
  network: "a network",
  job: "a whole job of `pipeline run`",
  study: "a study",
  export: "an export",
} as const;

/** What else a folder of a kind may look like: one whose description is damaged, or of an earlier version. */
const alike: Partial<Record<FolderKind, readonly FolderKind[]>> = {
  latents: ["store"],
  triples: ["store"],
  store: ["latents", "triples", "tokens"],
  teacher: ["training"],
  student: ["training"],
  autoencoder: ["training"],
  perceptual: ["training"],
  tokenizer: ["training"],
  tokens: ["store"],
  prior: ["training"],
};

/** What RUN/run.json says. */
export interface RunMark {
  kind: FolderKind;
  /** All that the run is a function of, by name; absent where its parts have folders of their own. */
  identity?: unknown;
}

/**
 * Does the work of a command in the folder that it writes: checks first that the folder is for it, then holds it until the
 * work has ended. Throws a Failure, and leaves the folder as it was, where it holds something else or is held by another.
 */
export async function inFolder<T>(
  options: {
    folder: string;
    kind: FolderKind;
    /** "train", "simulate" ... */
    command: string;
    /** Whether several processes may work there at once. */
    shared?: boolean;
    /** Folders that the command makes in it. */
    parts?: readonly string[];
    context: Context;
  },
  work: () => Promise<T>,
): Promise<T> {
  const { folder, command, shared, context } = options;
  const onWatch = (holder: Holder | undefined, seconds: number): void => {
    const who = holder ? `${holder.command} (process ${holder.pid} on ${holder.host})` : "another process";
    const message = `${who} may be at work in ${folder}: looks for up to ${seconds} s whether it shows that it lives`;
    context.report({ type: "note", stage: command, message });
  };
  await checkFolder(options);
  if (isUrl(folder)) return work(); // a bucket has no folders to hold: that each object is made once is its only lock
  const made = await mkdir(folder, { recursive: true });
  try {
    const release = await holdFolder({ folder, command, shared, signal: context.signal, onWatch });
    try {
      await checkFolder(options); // another may have written to it since
      return await work();
    } finally {
      await release();
    }
  } finally {
    if (made) await removeEmpty(resolve(folder), resolve(made));
  }
}

/** Says of a run folder what it is for. */
export async function markFolder(folder: string, mark: RunMark): Promise<void> {
  await filesAt(folder).replace(pathOf(folder), `${JSON.stringify({ format: "onestep-run", version: 1, ...mark }, null, 2)}\n`);
}

/** What a run folder says it is for; undefined where it does not, or cannot be understood. */
export async function readMark(folder: string): Promise<RunMark | undefined> {
  const content = await jsonOf(pathOf(folder));
  return content?.format === "onestep-run" && Object.hasOwn(titles, String(content.kind)) ? (content as unknown as RunMark) : undefined;
}

const pathOf = (folder: string): string => within(folder, "run.json");

/** Throws a Failure where a folder holds anything but what a command of this kind has made. */
async function checkFolder(options: { folder: string; kind: FolderKind; command: string; parts?: readonly string[] }): Promise<void> {
  const { folder, kind, command, parts = [] } = options;
  const refuse = (reason: string): Failure =>
    new Failure(`Cannot ${command} into ${folder}: ${reason}. Name another folder, or an empty one.`);
  const names = (await namesOf(folder, refuse)).filter((name) => !isPassedOver(name));
  const kinds = await kindsIn(folder, names);
  const other = kinds.find((found) => found !== kind && !alike[kind]?.includes(found));
  if (other) throw refuse(`it holds ${titles[other]}`);
  if (kinds.length > 0 || names.length === 0) return;
  for (const part of parts) if (names.includes(part) && (await kindsIn(within(folder, part))).length > 0) return;
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  throw refuse(`it holds files that onestep did not make (${names.slice(0, 3).join(", ")}${more})`);
}

/** Every kind whose traces stand in a folder; none where it is empty, or nothing in it is of onestep. */
async function kindsIn(folder: string, found?: readonly string[]): Promise<FolderKind[]> {
  const names = found ?? (await namesAt(folder));
  const mark = names.includes("run.json") ? await readMark(folder) : undefined;
  const has = (name: string): boolean => names.includes(name);
  const kinds = new Set<FolderKind>(mark ? [mark.kind] : []);
  if (has("store.json")) kinds.add(named((await jsonOf(within(folder, "store.json")))?.kind, ["latents", "triples", "tokens"]) ?? "store");
  else if (has("shards") && (await hasShards(folder))) kinds.add("store");
  if (has("export.json")) kinds.add("export");
  if (has("results.jsonl") || has("study.json")) kinds.add("study");
  if (has("model.json")) {
    const { role } = (await jsonOf(within(folder, "model.json"))) ?? {};
    kinds.add(named(role, ["teacher", "student", "perceptual", "tokenizer", "prior"]) ?? mark?.kind ?? "network");
  }
  if (!mark && names.some((name) => name === "metrics.jsonl" || /^checkpoint-\d+-[0-9a-f]+\.safetensors$/.test(name)))
    kinds.add("training");
  if (kinds.size === 0 && (has("codec.json") || has("weights.safetensors"))) kinds.add("network");
  return [...kinds];
}

async function hasShards(folder: string): Promise<boolean> {
  for await (const name of filesAt(folder).list(within(folder, "shards"))) if (shardOf(name) !== undefined) return true;
  return false;
}

const named = <K extends FolderKind>(word: unknown, among: readonly K[]): K | undefined => among.find((kind) => kind === word);

/**
 * What does not count as content: hidden files (locks and temporary ones among them), what systems leave, and the notes and
 * logs that people put beside a result, often before it is made. None of them has a name that a command writes.
 */
function isPassedOver(name: string): boolean {
  if (name.startsWith(".")) return true;
  if (name === "study.md") return false;
  return /^(thumbs\.db|desktop\.ini|lost\+found|readme|notes?|@eaDir)$|\.(md|txt|log|out|err|sh|slurm|sbatch)$/i.test(name);
}

async function namesOf(folder: string, refuse: (reason: string) => Failure): Promise<string[]> {
  if (isUrl(folder)) return namesAt(folder);
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") throw refuse("a file stands there");
    throw error;
  }
}

/** A file's JSON object; undefined where there is none, or it is damaged. */
async function jsonOf(path: string): Promise<Record<string, unknown> | undefined> {
  const content = parsedJson(await readText(path));
  return content !== null && typeof content === "object" ? (content as Record<string, unknown>) : undefined;
}

/** Removes a folder, and those above it up to `last`, as far as they are empty: nothing came of the work. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    const isGone = await rmdir(at).then(
      () => true,
      () => false, // something stands there
    );
    if (!isGone || at === last) return;
  }
}

/**
 * Runs in a bucket. A run is written in a folder of this machine, where it appends to its figures and maps its weights; what lasts is the
 * bucket: it is fetched before, and sent there after, each file whole, the ones that others are read by last.
 */
import { mkdir, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { createReadStream, readdirSync } from "node:fs";
import type { Context, PipelineEvent } from "../../schemas/events.ts";
import { badUsage, Failure, isFailure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { tagOf } from "../../store/places/bucket.ts";
import { piecesOf } from "../../store/places/buffers.ts";
import { cachePlace } from "../../store/places/cache.ts";
import { keepLimit, useCopy } from "../../store/places/cache-limit.ts";
import { filesAt, namesAt } from "../../store/places/files.ts";
import { textHash } from "../../store/places/hash.ts";
import { isUrl, lastName, within } from "../../store/places/place.ts";
import { sideBySide } from "../../store/places/side-by-side.ts";
import { readText } from "../../store/places/text.ts";
import { inFolder } from "./folder.ts";
import { renamed } from "./renamed.ts";

/** Sends to the bucket what has changed, and takes away what is gone. */
export type Push = () => Promise<void>;

/** Where what lies under a URL has its folder on this machine. */
export function workingFolder(url: string, purpose: "runs" | "fetched" = "runs"): string {
  return join(cachePlace(purpose), textHash(url.replace(/\/+$/, "")).slice(0, 16), lastName(url));
}

/** A folder says first what it is for: who is stopped or killed on the way goes on in it. */
const CLAIM = /(^|\/)(run|export)\.json$/;
/** Names by which others are read: a checkpoint's figures come before it, a network before its description. */
const LAST = [/^checkpoint-.*\.safetensors$/, /(^|\/)(model|codec)\.json$/];

/** Of what is fetched: by name the object's tag, and the state of the file here. */
const TAGS = ".fetched.json";
type Tags = Record<string, [tag: string, state: string]>;

/**
 * Makes `folder` what lies under a URL, as far as `wants` names it; what was fetched before and has not changed since is not fetched again.
 * Answers what sends back what is changed after.
 */
export async function fetched(
  url: string,
  folder: string,
  { wants = () => true, except = [], signal }: { wants?: (name: string) => boolean; except?: readonly string[]; signal?: AbortSignal } = {},
): Promise<Push> {
  const sent = new Map<string, string>(); // what is under the URL, by name, and as which state of the file here
  const there = (await namesUnder(url, "", except)).filter(wants);
  await mkdir(folder, { recursive: true });
  for (const name of namesIn(folder)) if (!there.includes(name)) await removeWithFolders(folder, name);
  const tags = (parsedJson(await readText(join(folder, TAGS))) ?? {}) as Tags;
  const now: Tags = {};
  await sideBySide(there, async (name) => {
    signal?.throwIfAborted();
    const [from, to] = [within(url, name), join(folder, name)];
    const tag = (await tagOf(from)) ?? "";
    const [known, as] = tags[name] ?? [];
    if (known !== tag || as !== (await stateOf(to).catch(absent))) await writeAtomic(to, until(signal, piecesOf(from)));
    const state = await stateOf(to);
    now[name] = [tag, state];
    sent.set(name, state);
  });
  await writeAtomic(join(folder, TAGS), JSON.stringify(now));
  return async () => {
    const names = namesIn(folder);
    const rank = (name: string): number => (CLAIM.test(name) ? -2 : LAST.findIndex((pattern) => pattern.test(name)));
    for (const name of names.sort((a, b) => rank(a) - rank(b))) {
      const path = join(folder, name);
      const state = await stateOf(path).catch(absent);
      if (state === undefined || sent.get(name) === state) continue;
      await filesAt(url).replace(within(url, name), createReadStream(path, { highWaterMark: 2 ** 22 }));
      sent.set(name, state);
    }
    for (const name of [...sent.keys()].filter((name) => !names.includes(name))) {
      await filesAt(url).remove(within(url, name));
      sent.delete(name);
    }
  };
}

/** The pieces of a file, until the signal aborts. */
async function* until(signal: AbortSignal | undefined, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    yield piece;
  }
}

/**
 * Does the work of a command that writes under a URL in a folder of this machine, which holds before what lies there; one process of this
 * machine at a time. The work may send on the way; at its end all is sent. What is told of the folder is told of the URL. Folders that
 * `except` names are stores that lie there by themselves.
 */
export async function mirrored<T>(
  { url, command, except = [], context }: { url: string; command: string; except?: readonly string[]; context: Context },
  work: (options: { folder: string; push: Push; context: Context }) => Promise<T>,
): Promise<T> {
  const folder = workingFolder(url);
  const release = await useCopy({ folder: dirname(folder), command, signal: context.signal }).catch((error) => {
    throw failureNamed(error, (text) => text.replaceAll(dirname(folder), url));
  });
  const named = (text: string): string => text.replaceAll(folder, url.replace(/\/+$/, ""));
  const report = (event: PipelineEvent): void => context.report(renamed(event, named) as PipelineEvent);
  const lasting = (text: string): string => named(context.lasting?.(text) ?? text);
  let result: T;
  try {
    const push = await fetched(url, folder, { except, signal: context.signal });
    result = await work({ folder, push, context: { ...context, report, lasting } });
    await push();
  } catch (error) {
    throw failureNamed(error, named); // what was not sent stays here, for whoever wants to save it by hand
  } finally {
    await release();
  }
  await keepLimit();
  return result;
}

/** Where a command that writes a run does its work. */
export interface Workplace {
  /** A folder of this machine. */
  out: string;
  /** The URL that it stands for, if it does, and what sends there what has changed. */
  place?: string;
  push?: Push;
  context: Context;
}

/**
 * Does the work of a command whose `out` is a folder of this machine, or a URL, then in the folder that stands for it. Checks first that
 * what lies there is of this kind, as `inFolder` does.
 */
export async function inPlaceOf<T>(
  { out, except, ...options }: Omit<Parameters<typeof inFolder>[0], "folder" | "shared"> & { out: string; except?: readonly string[] },
  work: (place: Workplace) => Promise<T>,
): Promise<T> {
  const { command, context } = options;
  if (!isUrl(out)) return inFolder({ ...options, folder: out }, () => work({ out, context }));
  const place = within(out); // by one name, with or without a slash at its end
  return inFolder({ ...options, folder: place }, () =>
    mirrored({ url: place, command, ...(except && { except }), context }, ({ folder, push, context }) =>
      inFolder({ ...options, folder, context }, () => work({ out: folder, place, push, context })),
    ),
  );
}

/** An error, a failure with its sentence changed. */
export function failureNamed(error: unknown, named: (text: string) => string): unknown {
  return isFailure(error) ? new Failure(named(error.message), { exitCode: error.exitCode, cause: error.cause }) : error;
}

/**
 * The folder of this machine that holds what lies under a URL, all but checkpoints and TensorBoard's events, to be read until `release` is
 * called; the cache keeps it as long as there is room. Throws a usage failure where nothing lies there.
 */
export async function fetchedRun(
  url: string,
  { command, signal }: { command: string; signal: AbortSignal },
): Promise<{ folder: string; release: () => Promise<void> }> {
  const folder = workingFolder(url, "fetched");
  const letGo = await useCopy({ folder: dirname(folder), command, shared: true, signal });
  const release = async (): Promise<void> => {
    await letGo();
    if (!signal.aborted) await keepLimit();
  };
  try {
    await fetched(url, folder, { wants: (name) => !/^(checkpoint-|tensorboard\/)/.test(name), signal });
    if (namesIn(folder).length === 0) {
      throw badUsage(`Cannot read ${url}: nothing lies there. Name the prefix of a run or store, as --out named it`);
    }
    await keepLimit();
    return { folder, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The names of all files under a URL; none that could lead out of it, or that only this machine means. */
async function namesUnder(url: string, prefix = "", except: readonly string[] = []): Promise<string[]> {
  const names = (await namesAt(within(url, prefix))).filter((name) => !name.startsWith(".") && !name.includes("\\"));
  const wanted = names.filter((name) => !except.includes(name));
  const found = await sideBySide(wanted, async (name) => {
    const path = prefix === "" ? name : `${prefix}/${name}`;
    const isFile = (await filesAt(url).size(within(url, path))) !== undefined;
    return isFile ? [path] : namesUnder(url, path);
  });
  return found.flat();
}

/** The names of all files below a folder, but hidden ones: locks and what is being written. */
function namesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.flatMap((entry) => {
    const name = join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1);
    return entry.isFile() && !entry.name.startsWith(".") ? name.split(sep).join("/") : [];
  });
}

/** Removes a file, and the folders around it that it leaves empty: they would be taken for what somebody else has put there. */
async function removeWithFolders(folder: string, name: string): Promise<void> {
  await rm(join(folder, name), { force: true });
  for (let around = dirname(name); around !== "."; around = dirname(around)) await rmdir(join(folder, around)).catch(() => {});
}

const stateOf = async (path: string): Promise<string> => {
  const { size, mtimeMs, ino } = await stat(path);
  return `${size} ${mtimeMs} ${ino}`;
};

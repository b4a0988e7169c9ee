/**
 * A process at work in a folder, as its lock file names it, and whether it lives. That is asked of the system where its process
 * can be seen: the same boot, the same numbering of processes, and a start time that tells it from a later process of its
 * number. Elsewhere (another host or container) the file is watched: a holder rewrites its first byte every few seconds. No clock
 * of one host is compared with another's.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { open, readFile, realpath, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import { absent } from "../../schemas/system-error.ts";

export interface Holder {
  /** What it does there: "train", "simulate" ... */
  command: string;
  host: string;
  pid: number;
  /** When it began, in ISO 8601. */
  since: string;
  /** Where process numbers mean what they mean to it. */
  world: string;
  /** When its process was started, in a measure of the system's own; absent where that cannot be told. */
  started?: string;
  /** Of the lock file: a copy of its folder is not held. */
  path: string;
  token: string;
  /** Whether it holds the folder's own lock for a moment only, to see to what a dead owner has left: it shares the folder. */
  passes?: boolean;
}

/** How long a holder that cannot be seen is watched for a sign of life. */
export interface Watch {
  /** Milliseconds between two signs. */
  beat: number;
  signal?: AbortSignal;
  /** Called before a file is watched. */
  onWatch?: (holder: Holder | undefined, seconds: number) => void;
}

/** Signs of life that may be missed. */
const PATIENCE = 10;

const mine = new Set<string>(); // tokens of the locks that this process holds

/** This process as the holder of a lock file, until it lets go. */
export async function thisProcess(command: string, path: string): Promise<Holder> {
  const { pid } = process;
  const token = newToken();
  mine.add(token);
  const started = startOf(pid);
  const holder = { command, host: hostname(), pid, since: new Date().toISOString(), world: world(), path: await realpath(path), token };
  return { ...holder, ...(started !== undefined && { started }) };
}

/** This process holds that lock no longer, even if its file cannot be removed. */
export const letGo = (token: string): boolean => mine.delete(token);

/** What tells one lock of a process from its others: twelve hex digits. */
export const newToken = (): string => randomBytes(6).toString("hex");

/** Who a lock file names. One that is just being written, or torn by a kill, is unreadable. */
export async function holderOf(path: string): Promise<Holder | "absent" | "unreadable"> {
  const text = await readFile(path, "utf8").catch(absent);
  if (text === undefined) return "absent";
  try {
    const holder = JSON.parse(text) as Holder;
    return typeof holder.token === "string" && Number.isInteger(holder.pid) ? holder : "unreadable";
  } catch {
    return "unreadable";
  }
}

/** The living holder of a lock file, as far as the file can be read; "gone" where it is dead, or there is none. */
export async function livingHolder(path: string, { beat, signal, onWatch }: Watch): Promise<{ holder?: Holder } | "gone"> {
  const found = await holderOf(path);
  if (found === "absent") return "gone";
  const alive = found === "unreadable" ? undefined : await isAlive(found, path);
  if (alive === true) return { holder: found as Holder };
  if (alive === false) return "gone";
  onWatch?.(found === "unreadable" ? undefined : found, (PATIENCE * beat) / 1000);
  const before = await changedAt(path);
  for (let waited = 0; waited < PATIENCE * beat; waited += beat / 6) {
    await setTimeout(beat / 6, undefined, { signal });
    const now = await changedAt(path);
    if (now === undefined) return "gone";
    if (now === before) continue;
    const holder = await holderOf(path);
    return typeof holder === "object" ? { holder } : {};
  }
  return "gone";
}

/** Whether the holder that a lock file names lives; undefined where that cannot be seen from here. */
export async function isAlive(holder: Holder, path: string): Promise<boolean | undefined> {
  const { pid, world: there, started, token } = holder;
  if (there !== world()) return undefined;
  if (pid === process.pid && started === startOf(pid) && !mine.has(token)) return false;
  if (started === undefined ? !isProcess(pid) : startOf(pid) !== started) return false;
  if (await isCopy(holder, path)) return false;
  return started === undefined ? undefined : true; // a process of that number may be a later one
}

/** Whether a lock file was copied with its folder: the one that its holder wrote is another file, and still there. */
async function isCopy({ path: original, token }: Holder, path: string): Promise<boolean> {
  const there = await holderOf(original);
  if (typeof there !== "object" || there.token !== token) return false;
  const [first, second] = await Promise.all([original, path].map((each) => stat(each, { bigint: true }).catch(absent)));
  return first !== undefined && second !== undefined && (first.ino !== second.ino || first.dev !== second.dev);
}

/** Writes the first byte of a lock file again. */
export async function showLife(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.write("{", 0);
  } finally {
    await file.close(); // one left open would keep its file system from being unmounted
  }
}

/** When a file was last written, asked of it newly opened: a network file system answers anew then. */
async function changedAt(path: string): Promise<number | undefined> {
  const file = await open(path, "r").catch(absent);
  if (!file) return undefined;
  try {
    return (await file.stat()).mtimeMs;
  } finally {
    await file.close();
  }
}

function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it lives, and is another user's
  }
}

/** When a process was started, in ticks since the boot: the 22nd field of Linux's /proc/PID/stat. Undefined of a dead one. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name in brackets may hold anything
    return fields[0] === "Z" ? undefined : fields[19]; // a zombie has ended
  } catch {
    return undefined;
  }
}

/** Names the place where a process number means one process: this boot and its container on Linux, the host elsewhere. */
function world(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

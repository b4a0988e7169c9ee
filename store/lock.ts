/**
 * Who is at work in a folder. FOLDER/.onestep.lock names its owner: the one process that may write there. Where several may
 * (the makers of a store's shards), each has a file of its own, .onestep-maker-TOKEN.lock, and an owner is refused while one
 * lives. A killed process leaves its file behind: whoever comes next sees that it is dead and takes over.
 *
 * Whether a holder lives is asked of the system where its process can be seen: the same boot and the same numbering of
 * processes, and a start time that tells a process from a later one of its number. Elsewhere (another host or container)
 * the file is watched: a holder rewrites its first byte every few seconds. No clock of one host is compared with another's.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Failure } from "../schemas/failure.ts";
import { namesIn } from "./atomic.ts";

/** A process at work in a folder, as its lock file says. */
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
  token: string;
}

const OWNER = ".onestep.lock";
const makerFile = (token: string): string => `.onestep-maker-${token}.lock`;
const isMakerFile = (name: string): boolean => /^\.onestep-maker-[0-9a-f]+\.lock$/.test(name);

const held = new Set<string>(); // paths of this process's lock files
let cleans = false; // whether they go when the process ends

/** How often a holder shows that it lives, in ms; one that shows nothing for several times as long is taken for dead. */
const BEAT = 3000;
const PATIENCE = 5;

/**
 * Takes a folder, which must be there, for `command`; answers what gives it back. With `shared` others that share it are
 * let in too. Throws a Failure that names the holder where another process, or another call of this one, is at work there.
 *
 * @example
 * import { mkdir } from "node:fs/promises";
 * import { holdFolder } from "onestep/store/lock";
 * await mkdir(folder, { recursive: true });
 * const release = await holdFolder({ folder, command: "train" });
 * await assert.rejects(holdFolder({ folder, command: "train" }), /train is at work there \(process \d+/);
 * await release();
 * await (await holdFolder({ folder, command: "train" }))();
 */
export async function holdFolder(options: {
  folder: string;
  command: string;
  shared?: boolean;
  /** Milliseconds between two signs of life. */
  beat?: number;
}): Promise<() => Promise<void>> {
  const { folder, command, shared = false, beat = BEAT } = options;
  const owner = join(folder, OWNER);
  const refuse = (holder: Holder | undefined): Failure => {
    const who = holder
      ? `${holder.command} is at work there (process ${holder.pid} on ${holder.host}, since ${inWords(holder.since)})`
      : "";
    return new Failure(
      `Cannot ${command} in ${folder}: ${who || "another process is at work there"}. Wait until it ends, or name another.`,
    );
  };
  if (shared) {
    const mine = (await tryToHold(join(folder, makerFile(newToken())), command, beat)) as () => Promise<void>;
    const owning = await passed(owner, command, beat);
    if (owning) {
      await mine();
      throw refuse(owning.holder);
    }
    await forgetDead(folder);
    return mine;
  }
  const release = await hold(owner, command, beat);
  if (typeof release !== "function") throw refuse(release.holder);
  for (const name of (await namesIn(folder)).filter(isMakerFile)) {
    const maker = await livingHolder(join(folder, name), beat);
    if (maker === "gone") await rm(join(folder, name), { force: true });
    else {
      await release();
      throw refuse(maker.holder);
    }
  }
  return release;
}

/**
 * Those who said that they make what a folder is to hold, and have not ended in good order: `alive` as far as this process
 * can see; undefined of another host.
 *
 * @example
 * import { mkdir } from "node:fs/promises";
 * import { holdFolder, makersOf } from "onestep/store/lock";
 * await mkdir(folder, { recursive: true });
 * const release = await holdFolder({ folder, command: "simulate", shared: true });
 * assert.deepEqual((await makersOf(folder)).map(({ holder, alive }) => [holder.command, alive]), [["simulate", true]]);
 * await release();
 */
export async function makersOf(folder: string): Promise<{ holder: Holder; alive: boolean | undefined }[]> {
  const names = (await namesIn(folder)).filter((name) => name === OWNER || isMakerFile(name));
  const holders = await Promise.all(names.map((name) => holderOf(join(folder, name))));
  return holders.flatMap((holder) => (typeof holder === "object" ? { holder, alive: isAlive(holder) } : []));
}

/** Removes what killed makers of this machine have left in a folder. */
async function forgetDead(folder: string): Promise<void> {
  for (const name of (await namesIn(folder)).filter(isMakerFile)) {
    const holder = await holderOf(join(folder, name));
    if (typeof holder === "object" && isAlive(holder) === false) await rm(join(folder, name), { force: true });
  }
}

/** Undefined once nobody owns a lock file any longer, or who does; what a dead owner has left is removed. */
async function passed(path: string, command: string, beat: number): Promise<{ holder?: Holder } | undefined> {
  for (let attempt = 1; ; attempt++) {
    if ((await holderOf(path)) === "absent") return undefined;
    const release = await hold(path, command, beat);
    if (typeof release === "function") await release();
    else if (attempt === ATTEMPTS) return release;
    else await setTimeout(20); // it may be another that only looks, as this one does
  }
}

const ATTEMPTS = 10;

/** Becomes the only holder of a lock file; answers what gives it back, or who has it. */
async function hold(path: string, command: string, beat: number): Promise<(() => Promise<void>) | { holder?: Holder }> {
  for (;;) {
    const release = await tryToHold(path, command, beat);
    if (release) return release;
    const found = await livingHolder(path, beat);
    if (found !== "gone") return found;
    // The holder is dead. Who may remove its file is settled by a lock of that very file, so that no fresh one is removed.
    const dead = await holderOf(path);
    if (dead === "absent") continue;
    const right = await hold(`${path}.${dead === "unreadable" ? "unreadable" : dead.token}`, command, beat);
    if (typeof right !== "function") {
      await setTimeout(20); // another process is about to take over
      continue;
    }
    const still = await holderOf(path);
    const isSame = typeof dead === "object" && typeof still === "object" ? still.token === dead.token : still === dead;
    if (isSame) await rm(path, { force: true });
    await right();
  }
}

/** Creates a lock file; undefined where it is there. */
async function tryToHold(path: string, command: string, beat: number): Promise<(() => Promise<void>) | undefined> {
  const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return undefined;
    throw error;
  });
  if (!file) return undefined;
  held.add(path);
  if (!cleans) process.once("exit", () => held.forEach((left) => void rmSync(left, { force: true })));
  cleans = true;
  const { pid } = process;
  const started = startOf(pid);
  const holder: Holder = { command, host: hostname(), pid, since: new Date().toISOString(), world: world(), token: newToken() };
  const timer = setInterval(() => void showLife(path).catch(() => {}), beat); // a sign that is lost costs nothing
  timer.unref();
  const release = async (): Promise<void> => {
    clearInterval(timer);
    await rm(path, { force: true });
    held.delete(path);
  };
  try {
    await file.writeFile(`${JSON.stringify({ ...holder, ...(started !== undefined && { started }) })}\n`);
  } catch (error) {
    await release();
    throw error;
  } finally {
    await file.close(); // a file left open would keep its file system from being unmounted
  }
  return release;
}

/** Writes the first byte of a lock file again. */
async function showLife(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.write("{", 0);
  } finally {
    await file.close();
  }
}

/** The holder of a lock file, if it lives, and as far as the file can be read; "gone" without one. */
async function livingHolder(path: string, beat: number): Promise<{ holder?: Holder } | "gone"> {
  const found = await holderOf(path);
  if (found === "absent") return "gone";
  const alive = found === "unreadable" ? undefined : isAlive(found);
  if (alive === true) return { holder: found as Holder };
  if (alive === false) return "gone";
  const before = await changedAt(path);
  for (let waited = 0; waited < PATIENCE * beat; waited += beat / 6) {
    await setTimeout(beat / 6);
    const now = await changedAt(path);
    if (now === undefined) return "gone";
    if (now !== before) {
      const holder = await holderOf(path);
      return typeof holder === "object" ? { holder } : {};
    }
  }
  return "gone";
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

/** Who a lock file names. One that is just being written, or torn by a kill, is unreadable. */
async function holderOf(path: string): Promise<Holder | "absent" | "unreadable"> {
  const text = await readFile(path, "utf8").catch(absent);
  if (text === undefined) return "absent";
  try {
    const holder = JSON.parse(text) as Holder;
    return typeof holder.token === "string" && Number.isInteger(holder.pid) ? holder : "unreadable";
  } catch {
    return "unreadable";
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** Whether the process of a holder lives; undefined where that cannot be seen from here. */
function isAlive({ pid, world: there, started }: Holder): boolean | undefined {
  if (there !== world()) return undefined;
  if (started !== undefined) return startOf(pid) === started;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false; // EPERM: it lives, and is another user's
  }
  return undefined; // it may be a later process of that number
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

const newToken = (): string => randomBytes(6).toString("hex");

/** 2026-11-29 12:01:10 UTC */
const inWords = (iso: string): string => `${String(iso).replace("T", " ").slice(0, 19)} UTC`;

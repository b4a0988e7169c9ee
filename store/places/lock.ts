/**
 * Who is at work in a folder. FOLDER/.onestep.lock names its owner: the one process that may write there. Where several may
 * (the makers of a store's shards), each has a file of its own, .onestep-maker-TOKEN.lock, and an owner is refused while one
 * lives. A killed process leaves its file behind: whoever comes next sees that it is dead and takes over.
 */
import { rmSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Failure } from "../../schemas/failure.ts";
import { writeError } from "../../schemas/system-error.ts";
import { namesIn } from "./atomic.ts";
import { isUrl } from "./place.ts";
import { type Holder, holderOf, isAlive, letGo, livingHolder, newToken, showLife, thisProcess, type Watch } from "./holder.ts";

/** How a lock is asked for. */
interface Asking extends Watch {
  command: string;
  /** By one that only sees to what a dead owner has left, and gives it back at once. */
  passes?: boolean;
}

type Release = () => Promise<void>;

const OWNER = ".onestep.lock";
const MAKER = /^\.onestep-maker-[0-9a-f]+\.lock$/;

const held = new Set<string>(); // paths of this process's lock files
let cleans = false; // whether they go when the process ends

/**
 * Takes a folder, which must be there, for `command`; answers what gives it back. With `shared` others that share it are
 * let in too. Throws a Failure that names the holder where another process, or another call of this one, is at work there.
 * A holder that cannot be seen from here is watched for some seconds, which `onWatch` is told.
 *
 * @example
 * import { mkdir } from "node:fs/promises";
 * import { holdFolder } from "./lock.ts";
 * await mkdir(folder, { recursive: true });
 * const release = await holdFolder({ folder, command: "train" });
 * await assert.rejects(holdFolder({ folder, command: "train" }), /train is at work there \(process \d+/);
 * await release();
 * await (await holdFolder({ folder, command: "train" }))();
 */
export async function holdFolder(options: { folder: string; command: string; shared?: boolean } & Partial<Watch>): Promise<Release> {
  const { folder, command, shared = false, beat = 3000 } = options;
  const asking: Asking = { ...options, command, beat };
  const owner = join(folder, OWNER);
  if (shared) {
    const mine = (await created(join(folder, `.onestep-maker-${newToken()}.lock`), asking)) as Release;
    const owning = await passed(owner, asking).catch(async (error) => {
      await mine();
      throw error;
    });
    if (owning) {
      await mine();
      throw refused(folder, command, owning.holder);
    }
    await forgetDead(folder);
    return mine;
  }
  const release = await taken(owner, asking);
  if (typeof release !== "function") throw refused(folder, command, release.holder);
  try {
    for (const name of (await namesIn(folder)).filter((name) => MAKER.test(name))) {
      const maker = await livingHolder(join(folder, name), asking);
      if (maker !== "gone") throw refused(folder, command, maker.holder);
      await rm(join(folder, name), { force: true });
    }
  } catch (error) {
    await release();
    throw error;
  }
  return release;
}

/**
 * Those who said that they make what a folder is to hold, and have not ended in good order: `alive` as far as this process
 * can see; undefined of another host.
 *
 * @example
 * import { mkdir } from "node:fs/promises";
 * import { holdFolder, makersOf } from "./lock.ts";
 * await mkdir(folder, { recursive: true });
 * const release = await holdFolder({ folder, command: "simulate", shared: true });
 * const [maker] = await makersOf(folder);
 * assert.equal(maker?.holder.command, "simulate");
 * await release();
 */
export async function makersOf(folder: string): Promise<{ holder: Holder; alive: boolean | undefined }[]> {
  if (isUrl(folder)) return []; // creation is the only lock there
  const makers: { holder: Holder; alive: boolean | undefined }[] = [];
  for (const name of await namesIn(folder)) {
    if (name !== OWNER && !MAKER.test(name)) continue;
    const holder = await holderOf(join(folder, name));
    if (typeof holder === "object") makers.push({ holder, alive: await isAlive(holder, join(folder, name)) });
  }
  return makers;
}

function refused(folder: string, command: string, holder: Holder | undefined): Failure {
  const since = holder && `${String(holder.since).replace("T", " ").slice(0, 19)} UTC`;
  const who = holder ? `${holder.command} is at work there (process ${holder.pid} on ${holder.host}, since ${since})` : "";
  return new Failure(`Cannot ${command} in ${folder}: ${who || "another process is at work there"}. Wait until it ends, or name another.`);
}

/** Removes what killed makers of this machine have left in a folder. */
async function forgetDead(folder: string): Promise<void> {
  for (const name of (await namesIn(folder)).filter((name) => MAKER.test(name))) {
    const path = join(folder, name);
    const holder = await holderOf(path);
    if (typeof holder === "object" && (await isAlive(holder, path)) === false) await rm(path, { force: true });
  }
}

/** Undefined once nobody owns a lock file any longer, or who does; what a dead owner has left is removed. */
async function passed(path: string, asking: Asking): Promise<{ holder?: Holder } | undefined> {
  for (;;) {
    if ((await holderOf(path)) === "absent") return undefined;
    const release = await taken(path, { ...asking, passes: true });
    if (typeof release === "function") await release();
    else if (release.holder && !release.holder.passes) return release;
    else await setTimeout(20); // another that passes, however long it gets no processor; or one whose name is just being written
    asking.signal?.throwIfAborted();
  }
}

/** Becomes the only holder of a lock file; answers what gives it back, or who has it. */
async function taken(path: string, asking: Asking): Promise<Release | { holder?: Holder }> {
  for (;;) {
    const release = await created(path, asking);
    if (release) return release;
    // Read before it is asked whether it lives: another process may take over meanwhile, and that one's file is not to be removed.
    const dead = await holderOf(path);
    if (dead === "absent") continue;
    const found = await livingHolder(path, asking);
    if (found !== "gone") return found;
    // The holder is dead. Who may remove its file is settled by a lock of that very file, so that no fresh one is removed.
    const right = await taken(`${path}.${dead === "unreadable" ? dead : dead.token}`, asking);
    if (typeof right !== "function") {
      await setTimeout(20); // another process is about to take over
      continue;
    }
    const still = await holderOf(path);
    const isSame =
      typeof dead === "object" && typeof still === "object"
        ? still.token === dead.token
        : still === dead && (await livingHolder(path, asking)) === "gone"; // one that is being written cannot be read either
    if (isSame) await rm(path, { force: true });
    await right();
  }
}

/** Creates a lock file; undefined where it is there. */
async function created(path: string, { command, beat, passes }: Asking): Promise<Release | undefined> {
  const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return undefined;
    throw error;
  });
  if (!file) return undefined;
  held.add(path);
  if (!cleans) process.once("exit", removeHeld);
  cleans = true;
  const timer = setInterval(() => void showLife(path).catch(() => {}), beat); // a sign that is lost costs nothing
  timer.unref();
  let token = "";
  const release = async (): Promise<void> => {
    clearInterval(timer);
    letGo(token);
    held.delete(path);
    await rm(path, { force: true }).catch(() => {}); // one that cannot be removed is known as nobody's, and the work's own error counts
  };
  try {
    const holder = await thisProcess(command, path);
    token = holder.token;
    await file.writeFile(`${JSON.stringify({ ...holder, ...(passes && { passes }) })}\n`);
  } catch (error) {
    await release();
    throw writeError(path, error);
  } finally {
    await file.close();
  }
  return release;
}

/** Removes what this process still holds when it ends. */
function removeHeld(): void {
  for (const path of held) {
    try {
      rmSync(path, { force: true });
    } catch {} // it is known as a dead process's
  }
}

/** Files that appear whole or not at all: temporary name, write, fsync, rename, fsync of the folder. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, open, opendir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { absent, writeError } from "../../schemas/system-error.ts";

/** Temporary names carry host and process, so that leftovers of a killed process can be told from work in progress. */
const host = crc32(Buffer.from(hostname())).toString(16);
const temporary = /^\..+\.([0-9a-f]+)-(\d+)-[0-9a-f]{8}\.tmp$/;

/** A file's content: at once, or in pieces, which each iteration gives anew. */
export type Content = Uint8Array | string | AsyncIterable<Uint8Array>;

/**
 * Writes a file that is visible only when complete and durable; its folder is made if absent. `ready` runs when the
 * bytes are safe under the temporary name `path`, just before they become visible; its failure leaves nothing behind.
 * Throws a Failure that names the file, the reason and the remedy.
 *
 * @example
 * import { readFile } from "node:fs/promises";
 * import { writeAtomic } from "./atomic.ts";
 * await writeAtomic(`${folder}/note.txt`, "whole or not at all");
 * assert.equal(await readFile(`${folder}/note.txt`, "utf8"), "whole or not at all");
 */
export async function writeAtomic(path: string, content: Content, ready?: (temporaryPath: string) => Promise<void>): Promise<void> {
  await published(path, content, async (scratch) => {
    await ready?.(scratch);
    if (!existsSync(scratch) && existsSync(dirname(path))) return undefined;
    await rename(scratch, path);
    return true;
  });
}

/**
 * Writes a file as `writeAtomic` does where there is none: of several who do so at once, one does. Answers whether this one did.
 * A file system that knows no links (FAT) lets the last of two have it that come within the same moment.
 *
 * @example
 * import { createAtomic } from "./atomic.ts";
 * assert.equal(await createAtomic(`${folder}/note.txt`, "first"), true);
 * assert.equal(await createAtomic(`${folder}/note.txt`, "second"), false);
 */
export async function createAtomic(path: string, content: Content): Promise<boolean> {
  return published(path, content, async (scratch) => {
    const code = await link(scratch, path).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code ?? "",
    ); // which, unlike a rename, refuses where something is
    if (code === "ENOENT" && existsSync(dirname(path))) return undefined;
    const isOurs = code === undefined;
    if (isOurs || code === "EEXIST" || existsSync(path)) {
      await rm(scratch, { force: true });
      return isOurs;
    }
    await rename(scratch, path);
    return true;
  });
}

const ATTEMPTS = 5;
const inFlight = new Set<string>(); // temporary files of this process

/**
 * Writes a temporary file and lets `publish` give it its name, again where that is undefined: another process, sealing the store, took
 * the temporary file for an abandoned one.
 */
async function published<T>(path: string, content: Content, publish: (scratch: string) => Promise<T | undefined>): Promise<T> {
  try {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const done = await attempted(path, content, publish).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT" || attempt === ATTEMPTS) throw error; // a folder that the other found empty is made anew
      });
      if (done !== undefined) return done;
    }
    throw new Failure(`Cannot write ${path}: another process keeps removing its temporary file. Run the same command again.`);
  } catch (error) {
    throw writeError(path, error);
  }
}

async function attempted<T>(path: string, content: Content, publish: (scratch: string) => Promise<T | undefined>): Promise<T | undefined> {
  const folder = dirname(path);
  const name = temporaryName(basename(path));
  const scratch = join(folder, name);
  inFlight.add(name);
  try {
    await writeDurably(scratch, content);
    const done = await publish(scratch);
    if (done !== undefined) await syncFolder(folder);
    return done;
  } catch (error) {
    await rm(scratch, { force: true }).catch(() => {});
    throw error;
  } finally {
    inFlight.delete(name);
  }
}

/** Writes a file that must be new, and waits until its bytes are on the disk; its folder is made if absent. */
async function writeDurably(path: string, content: Content): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "wx");
  try {
    await writeFile(file, content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * A name for a file on its way to becoming `name`: no other process takes it, and where this one dies it is known as a leftover.
 *
 * @example
 * import { isTemporary, temporaryName } from "./atomic.ts";
 * assert.ok(isTemporary(temporaryName("note.txt")));
 */
export function temporaryName(name: string): string {
  return `.${name}.${host}-${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
}

/**
 * Removes the temporary files that killed processes of this machine left in a folder; with `all`, every one that is not
 * this process's own work in progress (another process at work writes its file again).
 *
 * @example
 * import { namesIn, removeTemporaries, writeAtomic } from "./atomic.ts";
 * await writeAtomic(`${folder}/.note.txt.0-1-00000000.tmp`, "left by a killed process of another machine");
 * await removeTemporaries(folder, { all: true });
 * assert.deepEqual(await namesIn(folder), []);
 */
export async function removeTemporaries(folder: string, options: { all?: boolean } = {}): Promise<void> {
  for await (const name of eachName(folder)) {
    const match = temporary.exec(name);
    if (!match) continue;
    if (inFlight.has(name)) continue;
    const abandoned = match[1] === host && (Number(match[2]) === process.pid || !isAlive(Number(match[2])));
    if (options.all || abandoned) await rm(join(folder, name), { force: true });
  }
}

/**
 * The sorted names in a folder; none when it does not exist.
 *
 * @example
 * import { namesIn } from "./atomic.ts";
 * assert.equal((await namesIn(`${latents.folder}/shards`))[0], "000000.parquet");
 * assert.deepEqual(await namesIn(`${folder}/nowhere`), []);
 */
export async function namesIn(folder: string): Promise<string[]> {
  return ((await readdir(folder).catch(absent)) ?? []).sort();
}

/** The names in a folder as they come, few in memory; none when it does not exist. */
export async function* eachName(folder: string): AsyncGenerator<string> {
  const opened = await opendir(folder, { bufferSize: 1024 }).catch(absent);
  if (opened) for await (const { name } of opened) yield name;
}

/** Whether a file's name is that of one which was not whole yet. */
export function isTemporary(name: string): boolean {
  return temporary.test(name);
}

/** A rename is durable only once its folder is; Windows has no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // alive, and another user's
  }
}

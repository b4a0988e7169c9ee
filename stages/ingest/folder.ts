import type { Dirent } from "node:fs";
import { lstat, open, readdir, realpath } from "node:fs/promises";
import { basename, isAbsolute, join, relative, resolve, sep } from "node:path";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { ImageSettings } from "../../schemas/settings.ts";
import { readAt, unreadable } from "./end.ts";
import { type Archive, type Entry, over } from "./listing.ts";
import type { Omissions } from "./omissions.ts";

/**
 * Lists a folder and everything below it; links inside are not followed. Names are relative, with `/`. Left out are the
 * folders `except`, into which results are about to be written, and what onestep wrote: stores and runs. A folder inside that
 * may not be read is told to `omissions` and passed over; a name that is not UTF-8 costs that file.
 */
export async function listFolder(options: {
  path: string;
  limits: ImageSettings;
  except?: string[];
  omissions: Omissions;
}): Promise<Archive> {
  const { path, limits, except = [], omissions } = options;
  const source = basename(resolve(path));
  const entries: Entry[] = [];
  const results = await placesIn(path, except);
  const passOver = (kind: "files" | "aside", entry: string, reason: string) => omissions.add({ kind, source, entry, reason });

  // Names are bytes to the system: a path is kept as such, beside what it reads as.
  const visit = async (place: Buffer, folder: string, isNamed: boolean): Promise<void> => {
    const children = await childrenOf(place);
    if (!children) {
      if (folder === "") throw new Failure(`Cannot read "${path}": permission is denied. Make the folder readable.`);
      return passOver("files", folder, "a folder that may not be read, with all that is in it");
    }
    if (folder !== "" && isOurs(children)) return passOver("aside", folder, "a store or run of onestep");
    for (const child of children) {
      const { text, isUtf8 } = nameOf(child.name);
      const name = folder + text;
      const where = Buffer.concat([place, Buffer.from(sep), child.name]);
      if (child.isDirectory()) {
        if (!results.has(name)) await visit(where, `${name}/`, isNamed && isUtf8);
        continue;
      }
      if (entries.length === limits.maxEntries) {
        throw new Failure(`Cannot read "${path}": it holds too many files, ${over("maxEntries", limits)}`);
      }
      const size = await sizeOf(where);
      if (size === undefined) continue;
      const reason = isNamed && isUtf8 ? refusal(child, size, limits) : "its name is not UTF-8: rename it";
      entries.push({ name, size, ...(reason && { reason }) });
    }
  };
  await visit(Buffer.from(path), "", true);
  return { source, entries, open: async () => ({ read: (entry) => readWhole(join(path, entry.name), entry), close: async () => {} }) };
}

/** Why a file is not even read. */
function refusal(file: Dirent<Buffer>, size: number, limits: ImageSettings): string | undefined {
  if (file.isSymbolicLink()) return "a symbolic link, which is not followed";
  if (!file.isFile()) return "not a regular file";
  return size > limits.maxEntryBytes ? `${size} bytes, ${over("maxEntryBytes", limits)}` : undefined;
}

async function readWhole(path: string, { size }: Entry): Promise<Uint8Array> {
  const file = await open(path, "r").catch(unreadable);
  try {
    const bytes = await readAt(file, 0, size + 1).catch(unreadable);
    if (bytes.length !== size) throw new Error("the file changed since it was listed");
    return bytes;
  } finally {
    await file.close();
  }
}

/** What lies in a folder, nothing where it was removed meanwhile; undefined where it may not be read. */
async function childrenOf(place: Buffer): Promise<Dirent<Buffer>[] | undefined> {
  try {
    return await readdir(place, { withFileTypes: true, encoding: "buffer" });
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (["EACCES", "EPERM"].includes(code)) return undefined;
    throw error;
  }
}

/** The size of a file; undefined where it was removed meanwhile. */
async function sizeOf(place: Buffer): Promise<number | undefined> {
  try {
    return (await lstat(place)).size;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (["EACCES", "EPERM"].includes(code)) return 0; // a folder that may be listed and not entered: reading tells why
    throw error;
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A name as text; bytes that are no UTF-8 as <e9>. */
function nameOf(bytes: Buffer): { text: string; isUtf8: boolean } {
  try {
    return { text: strict.decode(bytes), isUtf8: true };
  } catch {
    const shown = Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCharCode(byte) : `<${byte.toString(16)}>`));
    return { text: shown.join(""), isUtf8: false };
  }
}

/** Whether a folder is a store or a run, by what lies in it. */
function isOurs(children: Dirent<Buffer>[]): boolean {
  const names = new Set(children.map(({ name }) => name.toString("latin1")));
  return [
    ["store.json", "shards"],
    ["model.json", "weights.safetensors"],
    ["settings.yaml", "metrics.jsonl"],
    ["codec.json", "codec.safetensors"],
  ].some((together) => together.every((name) => names.has(name)));
}

/**
 * The places of results below a folder, relative to it. Throws a usage failure where results would go into the very folder:
 * the next run could not tell them from images.
 */
async function placesIn(path: string, results: string[]): Promise<Set<string>> {
  const root = await realpath(path);
  const places = new Set<string>();
  for (const result of results) {
    const place = await realpath(result).catch(() => resolve(result));
    const below = relative(root, place);
    if (below === "") {
      throw badUsage(
        `Cannot write into "${result}": it is the folder of the images. Name another with --out, such as ${join(result, "latents")}.`,
      );
    }
    if (below.split(sep)[0] !== ".." && !isAbsolute(below)) places.add(below.split(sep).join("/"));
  }
  return places;
}

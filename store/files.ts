/** The six things that a store asks of the place where it lies, and who does them: a file system, or a bucket. */
import { link, mkdir, open, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { absent, writeError } from "../schemas/system-error.ts";
import { type Content, namesIn, temporaryName, writeAtomic } from "./atomic.ts";
import { bucketFiles } from "./bucket.ts";
import { isUrl } from "./place.ts";

/** Bytes from (inclusive) to (exclusive). */
export interface Range {
  from: number;
  to: number;
}

/** What became of a creation: it was made, or the same bytes were there already, or others. */
export type Created = "created" | "same" | "other";

/** Whole files under paths of one kind. What is written appears whole or not at all. */
export interface Files {
  /** Writes a file that must not be there: of several who do so at once, one does. Answers what stands there after. */
  create: (path: string, bytes: Uint8Array) => Promise<Created>;
  /** Writes a file in the place of whatever is there. */
  replace: (path: string, content: Content) => Promise<void>;
  /** A file's bytes, or those of a range that lies within it; undefined where there is no file. */
  read: (path: string, range?: Range) => Promise<Uint8Array | undefined>;
  /** How many bytes a file has; undefined where there is none. */
  size: (path: string) => Promise<number | undefined>;
  /** The names in a folder that begin so, sorted; none where there is no such folder. */
  list: (folder: string, prefix?: string) => Promise<string[]>;
  /** Removes a file, if it is there. */
  remove: (path: string) => Promise<void>;
}

/**
 * Who serves a path: by its form.
 *
 * @example
 * import { filesAt } from "./files.ts";
 * const files = filesAt(folder);
 * const note = `${folder}/note`;
 * assert.equal(await files.create(note, Buffer.from("first")), "created");
 * assert.equal(await files.create(note, Buffer.from("other")), "other");
 * assert.equal(Buffer.from((await files.read(note, { from: 1, to: 3 }))!).toString(), "ir");
 */
export function filesAt(path: string): Files {
  return isUrl(path) ? bucketFiles : folderFiles;
}

const folderFiles: Files = {
  create: async (path, bytes) => {
    const scratch = join(dirname(path), temporaryName("create"));
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(scratch, "wx");
      try {
        await writeFile(file, bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await link(scratch, path); // which, unlike a rename, refuses where something is
      return "created";
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw writeError(path, error);
      const found = await folderFiles.read(path);
      return found && Buffer.from(found).equals(bytes) ? "same" : "other";
    } finally {
      await rm(scratch, { force: true }).catch(() => {});
    }
  },
  replace: writeAtomic,
  read: async (path, range) => {
    const file = await open(path, "r").catch(absent);
    if (!file) return undefined;
    try {
      if (!range) return await file.readFile();
      const bytes = Buffer.alloc(range.to - range.from);
      await file.read(bytes, 0, bytes.length, range.from);
      return bytes;
    } finally {
      await file.close();
    }
  },
  size: async (path) => (await stat(path).catch(absent))?.size,
  list: async (folder, prefix = "") => (await namesIn(folder)).filter((name) => name.startsWith(prefix)),
  remove: (path) => rm(path, { force: true }),
};

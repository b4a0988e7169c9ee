/** Who does what a store asks of the place where it lies: a file system, or a bucket. */
import { link, open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { absent, writeError } from "../schemas/system-error.ts";
import { namesIn, temporaryName, writeAtomic, writeDurably } from "./atomic.ts";
import { bucketFiles } from "./bucket.ts";
import type { Files } from "./functions.ts";
import { isUrl } from "./place.ts";

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
      await writeDurably(scratch, bytes);
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

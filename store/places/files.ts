/** Who does what a store asks of the place where it lies: a file system, or a bucket. */
import { open, rm, stat } from "node:fs/promises";
import { absent, writeError } from "../../schemas/system-error.ts";
import { createAtomic, eachName, writeAtomic } from "./atomic.ts";
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

/**
 * All names in a folder that begin so, sorted.
 *
 * @example
 * import { namesAt } from "./files.ts";
 * assert.equal((await namesAt(`${latents.folder}/shards`, "00000")).at(-1), "000006.parquet");
 */
export async function namesAt(folder: string, prefix?: string): Promise<string[]> {
  const names: string[] = [];
  for await (const name of filesAt(folder).list(folder, prefix)) names.push(name);
  return names.sort();
}

const folderFiles: Files = {
  create: async (path, bytes) => {
    if (await createAtomic(path, bytes)) return "created";
    const found = await folderFiles.read(path);
    return found && Buffer.from(found).equals(bytes) ? "same" : "other";
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
  list: async function* (folder, prefix = "") {
    for await (const name of eachName(folder)) if (name.startsWith(prefix)) yield name;
  },
  remove: (path) =>
    rm(path, { force: true }).catch((error) => {
      throw writeError(path, error);
    }),
};

import type { Dirent } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSettings } from "../../schemas/settings.ts";
import { readAt } from "./end.ts";
import { type Archive, type Entry, over } from "./listing.ts";

/** Lists a folder and everything below it; links inside are not followed. Names are relative, with `/`. */
export async function listFolder(path: string, limits: ImageSettings): Promise<Archive> {
  const entries: Entry[] = [];
  const visit = async (folder: string): Promise<void> => {
    const children: Dirent[] = await readdir(join(path, folder), { withFileTypes: true });
    for (const child of children) {
      const name = folder + child.name;
      if (child.isDirectory()) {
        await visit(`${name}/`);
        continue;
      }
      if (entries.length === limits.maxEntries) {
        throw new Failure(`Cannot read "${path}": it holds too many files, ${over("maxEntries", limits)}`);
      }
      const { size } = await lstat(join(path, name));
      const reason = child.isSymbolicLink()
        ? "a symbolic link, which is not followed"
        : !child.isFile()
          ? "not a regular file"
          : size > limits.maxEntryBytes
            ? `${size} bytes, ${over("maxEntryBytes", limits)}`
            : undefined;
      entries.push({ name, size, ...(reason && { reason }) });
    }
  };
  await visit("");

  const read = async ({ name, size }: Entry) => {
    const file = await open(join(path, name), "r");
    try {
      const bytes = await readAt(file, 0, size + 1);
      if (bytes.length !== size) throw new Error("the file changed since it was listed");
      return bytes;
    } finally {
      await file.close();
    }
  };
  return { source: basename(resolve(path)), entries, open: async () => ({ read, close: async () => {} }) };
}

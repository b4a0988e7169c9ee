import type { Entry } from "./listing.ts";
import { byteOrder, folderOf, looksLikeImage } from "./names.ts";

/**
 * The class of each file where folders look like classes: every image (judged by its extension; every file where none
 * has one) lies one level below a common root, in one of at least two folders. Otherwise undefined.
 */
export function classFolders(files: Entry[]): Map<Entry, string> | undefined {
  const named = files.filter(({ name }) => looksLikeImage(name));
  const images = named.length > 0 ? named : files;
  const folders = new Set(images.map(({ name }) => folderOf(name)));
  if (folders.size < 2) return undefined;
  const root = commonRoot([...folders]);
  for (const folder of folders) if (!/^[^/]+\/$/.test(folder.slice(root.length))) return undefined;
  return new Map(files.filter(({ name }) => folders.has(folderOf(name))).map((file) => [file, folderOf(file.name).slice(root.length, -1)]));
}

/** The class names in byte order: a label is a position in it. */
export function classNames(sources: (Map<Entry, string> | undefined)[]): string[] {
  return [...new Set(sources.flatMap((source) => [...(source?.values() ?? [])]))].sort(byteOrder);
}

function commonRoot(folders: string[]): string {
  let root = folders[0] ?? "";
  for (const folder of folders) while (!folder.startsWith(root)) root = folderOf(root.slice(0, -1));
  return root;
}

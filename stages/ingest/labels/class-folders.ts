import type { Entry } from "../listing.ts";
import { folderOf, looksLikeImage } from "../names.ts";
import { areNumbered } from "./numbered.ts";

/** The class of each file by name; or why there is none, where that wants a word. */
export type Labelling = { labels: Map<Entry, string> } | { why?: string; at?: string };

/** What folders above classes are called where a data set is in parts. */
const part = /^(train|val|valid|validate|validation|test|tests|dev|eval|evaluation|holdout)(ing|_?set|_?data|_?images|[-_ ]?\d*)$/i;

/**
 * The class of each file where folders look like classes: every image (judged by its extension; every file where none has one)
 * lies one level below a common root, in one of at least two folders; a level of parts (train, val, test) above the classes
 * is passed over. Else a sentence why there are none, where the images lie in several folders. `isNumbered` tells
 * whether another file says that folders of numbers only divide the images.
 */
export function classFolders(files: Entry[], { isNumbered = false } = {}): Labelling {
  const named = files.filter(({ name }) => looksLikeImage(name));
  const images = named.length > 0 ? named : files;
  const folders = new Map<string, string>(); // each with its first image
  for (const { name } of images) if (!folders.has(folderOf(name))) folders.set(folderOf(name), name);
  if (folders.size < 2) return {};
  const root = commonRoot([...folders.keys()]);
  const paths = [...folders].map(([folder, at]) => ({ path: folder.slice(root.length).split("/").slice(0, -1), folder, at }));
  const depth = paths.some(({ path }) => path.length === 2) && paths.every(({ path }) => part.test(path[0] ?? "")) ? 2 : 1;
  const odd = paths.find(({ path }) => path.length !== depth);
  const highest = new Set(paths.flatMap(({ path }) => path[0] ?? []));
  if (odd) return highest.size > 1 ? { why: whyNot(odd.path, depth), at: odd.at } : {}; // of one folder nobody expects classes
  const classes = [...new Set(paths.map(({ path }) => path[depth - 1] as string))];
  const at = paths[0]?.at;
  if (depth === 1 && classes.every((name) => part.test(name))) {
    return { why: `no classes: the folders ${some(classes)} are parts of a data set, without class folders in them`, at };
  }
  if (areNumbered(images, classes, { isKnown: isNumbered })) {
    return { why: `no classes: the numbered folders ${some(classes)} only divide the images`, at };
  }
  const classOf = new Map(paths.map(({ folder, path }) => [folder, path[depth - 1] as string]));
  const labels = new Map<Entry, string>();
  for (const file of files) {
    const name = classOf.get(folderOf(file.name));
    if (name !== undefined) labels.set(file, name);
  }
  return { labels };
}

/** Why folders are no classes where one image lies on another level. */
function whyNot(path: string[], depth: number): string {
  const where = depth === 2 ? "in a part of the data set that has no class folders" : "beside the folders, not in one";
  const place = path.length < depth ? `lies ${where}` : "lies deeper than class folders do";
  return `no classes: this image ${place}; classes are folders where every image lies in one of them, all on one level`;
}

function some(names: string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown}, ... (${names.length})` : shown;
}

function commonRoot(folders: string[]): string {
  let root = folders[0] ?? "";
  for (const folder of folders) while (!folder.startsWith(root)) root = folderOf(root.slice(0, -1));
  return root;
}

import { setImmediate } from "node:timers/promises";
import { displayName } from "../../../schemas/visible.ts";
import { createFinder, type Found } from "../finder.ts";
import type { Entry } from "../listing.ts";
import type { Omissions } from "../omissions.ts";
import { folderOf, looksLikeImage } from "../names.ts";
import { longestRow, type Row, type Wrong } from "./rows.ts";
import { type BesideSource, besideSources, type ListSource, listSources } from "./sources.ts";
import { withoutMark } from "./text.ts";

const longest = 4000; // characters of a caption
const mostBad = 100_000; // rows that cannot be read, before a file of little else is given up
const breath = 2 ** 13; // rows between two looks at the signal
const TOO_MANY = `a text has more than ${longest} characters`;

/** The files of captions of an archive, by kind. */
export interface CaptionFiles {
  lists: Map<ListSource, Entry[]>;
  /** Each with the images that it stands beside. */
  beside: Map<BesideSource, { file: Entry; images: Entry[] }[]>;
}

export interface ReadOptions {
  source: string;
  images: Entry[];
  /** The bytes of a file; undefined where they cannot be read, which has been told then. */
  read: (file: Entry) => Promise<Uint8Array | undefined>;
  omissions: Omissions;
  signal?: AbortSignal;
}

/**
 * The captions of the images of one archive, from the kinds of files that captions/sources.ts lists, in its order; the first
 * caption of an image wins. A list's names are relative to its own folder. White space is folded. Nothing here is fatal: what
 * is not taken goes to `omissions` and, where there are captions at all, so does every image without one.
 */
export async function readCaptions(options: ReadOptions & { files: CaptionFiles }): Promise<Map<Entry, string>> {
  const { source, images, files, omissions } = options;
  const captions = new Map<Entry, string>();
  const find = createFinder(images);
  for (const kind of listSources) {
    for (const file of files.lists.get(kind) ?? []) await readList({ ...options, kind, file, captions, find });
  }
  for (const kind of besideSources) {
    for (const each of files.beside.get(kind) ?? []) await readBeside({ ...options, ...each, kind, captions });
  }
  if (captions.size === 0) return captions;
  for (const { name } of images.filter((image) => !captions.has(image) && looksLikeImage(image.name))) {
    omissions.add({ kind: "captions", source, entry: name, reason: "no caption" });
  }
  return captions;
}

/** Takes the captions of a file that has a row for each. */
async function readList(
  options: ReadOptions & { kind: ListSource; file: Entry; captions: Map<Entry, string>; find: (name: string) => Found },
): Promise<void> {
  const { source, file, kind, read, omissions, signal, captions, find } = options;
  const bytes = await read(file);
  if (!bytes) return;
  const blame = (row: number, wrong: Wrong) => omissions.add({ kind: "captions", source, entry: file.name, row, ...wrong });
  let text: Uint8Array;
  try {
    text = withoutMark(bytes);
  } catch (error) {
    return omissions.add({ kind: "captions", source, entry: file.name, reason: (error as Error).message });
  }
  let [rows, bad] = [0, 0];
  for (const row of kind.rows(text)) {
    if (++rows % breath === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
    const wrong = row.wrong ?? take(row, { folder: folderOf(file.name), captions, find });
    if (wrong) blame(row.row, wrong);
    if (row.wrong && ++bad > mostBad && 2 * bad > rows) {
      const count = Math.max(1, linesIn(text) - row.row);
      return omissions.add({
        kind: "captions",
        source,
        entry: file.name,
        reason: "the rest of a file most of whose rows cannot be read",
        count,
      });
    }
    if (row.unread === undefined) continue;
    const { unread } = row;
    const reason = "a class in a file of captions is not read: classes come from class folders or dataset.json";
    omissions.add({ kind: "labels", source, entry: file.name, row: row.row, reason, detail: () => `${unread} is not read` });
  }
}

/** Gives the images that a row names its caption; or answers why not. */
function take(
  { name, text }: Row,
  { folder, captions, find }: { folder: string; captions: Map<Entry, string>; find: (name: string) => Found },
): Wrong | undefined {
  if (!name) return { reason: "no file_name" };
  const shown = () => displayName(name);
  const found = find(folder + name);
  const caption = text === undefined ? undefined : fold(text);
  if (!found) return { reason: "no image is called so", detail: () => `no image is called "${shown()}"` };
  if (found === "ambiguous") return { reason: "several images are called so", detail: () => `several images are called "${shown()}"` };
  if (!caption) return { reason: "no text", detail: () => `no text for "${shown()}"` };
  if (caption.length > longest) {
    return { reason: TOO_MANY, detail: () => `the text for "${shown()}" has more than ${longest} characters` };
  }
  if (found.some((image) => captions.has(image))) {
    return { reason: "has a caption already, the first is kept", detail: () => `"${shown()}" has a caption already, the first is kept` };
  }
  for (const image of found) captions.set(image, caption);
  return undefined;
}

/** Takes the caption of a file beside images, for those of them that have none yet. */
async function readBeside(
  options: ReadOptions & { kind: BesideSource; file: Entry; images: Entry[]; captions: Map<Entry, string> },
): Promise<void> {
  const { source, file, images, kind, read, omissions, captions } = options;
  const blame = (reason: string) => omissions.add({ kind: "captions", source, entry: file.name, reason });
  const without = images.filter((image) => !captions.has(image));
  if (without.length === 0) {
    return omissions.add({
      kind: "aside",
      source,
      entry: file.name,
      reason: `${kind.extension} beside an image that has its caption already`,
    });
  }
  if (file.size > longestRow) return blame(`a ${kind.extension} beside an image is longer than 1 MiB`);
  const bytes = await read(file);
  if (!bytes) return;
  try {
    const caption = fold(kind.caption(withoutMark(bytes)));
    if (caption.length > longest) blame(TOO_MANY);
    else for (const image of without) captions.set(image, caption);
  } catch (error) {
    blame((error as Error).message);
  }
}

function fold(text: string): string {
  return text.normalize("NFC").replace(/\s+/g, " ").trim();
}

function linesIn(bytes: Uint8Array): number {
  let lines = 0;
  for (const byte of bytes) if (byte === 0x0a) lines++;
  return lines;
}

/** Where captions are looked for: one line a kind of file, in the order in which the first caption of an image wins. */
import { folderOf, stemOf } from "../names.ts";
import { csvRows } from "./csv.ts";
import { jsonRows } from "./jsonl.ts";
import type { Row } from "./rows.ts";
import { jsonCaption, textCaption } from "./beside.ts";

/** One file for the images of a folder and those below it. */
export interface ListSource {
  file: string;
  rows: (bytes: Uint8Array) => Iterable<Row>;
}

/** A file for one image, which stands beside it and differs in its extension alone. */
export interface BesideSource {
  extension: string;
  caption: (bytes: Uint8Array) => string;
}

export const listSources: ListSource[] = [
  { file: "captions.csv", rows: csvRows },
  { file: "metadata.csv", rows: csvRows }, // Hugging Face's image folders
  { file: "metadata.jsonl", rows: jsonRows }, // the same
];

export const besideSources: BesideSource[] = [
  { extension: ".txt", caption: textCaption },
  { extension: ".caption", caption: textCaption },
  { extension: ".json", caption: jsonCaption }, // img2dataset
];

/** The kind of list that a file is by its name. */
export function listSourceOf(name: string): ListSource | undefined {
  const base = name.slice(folderOf(name).length).toLowerCase();
  return listSources.find(({ file }) => file === base);
}

/** The kind of file beside an image that a file is by its name. */
export function besideSourceOf(name: string): BesideSource | undefined {
  const extension = name.slice(stemOf(name).length).toLowerCase();
  return besideSources.find((source) => source.extension === extension);
}

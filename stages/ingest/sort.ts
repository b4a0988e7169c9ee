/** What the files of a source are for, told by their names: images to be, captions, labels, the bookkeeping of tools, litter. */
import { besideSourceOf, listSourceOf } from "./captions/sources.ts";
import type { CaptionFiles } from "./captions/read.ts";
import { createFinder } from "./finder.ts";
import { DATASET_JSON } from "./labels/dataset-json.ts";
import type { Entry } from "./listing.ts";
import { isLitter } from "./litter.ts";
import type { Omissions } from "./omissions.ts";
import { folderOf, stemOf } from "./names.ts";

export interface Sorted {
  /** What is to be decoded or rejected, in the order of the listing. */
  images: Entry[];
  captions: CaptionFiles;
  /** Files of labels. */
  labels: Entry[];
  /** How many files are litter of systems and tools. */
  litter: number;
  /** Whether a tool's bookkeeping says that numbered folders only divide the images. */
  isNumbered: boolean;
}

/** Tables, and files of values: beside images they are captions or labels nearly always. */
const tables = new RegExp(
  `\\.(${[
    ...["csv", "tsv", "jsonl?", "ndjson", "parquet", "xml", "npy", "npz", "xlsx?", "ods", "pkl", "pickle", "mat", "h5", "hdf5", "arrow"],
    ...["feather", "ya?ml", "lst", "tfrecord", "sqlite", "caps?", "tags", "labels?"],
  ].join("|")})$`,
  "i",
);

/** Words in the names of texts, and of their folders, that tell the same. */
const words = /caption|label|class|categor|annotation|metadata|prompt|tags|attr|identity|names|split/i;

/** What img2dataset writes beside its shards, and only then. */
const bookkeeping = /^(\d+)(_stats\.json|\.parquet)$/;

/** Sorts the files of a source. What will be no image and is not read goes to `omissions`. */
export function sortFiles({ source, entries, omissions }: { source: string; entries: Entry[]; omissions: Omissions }): Sorted {
  const sorted: Sorted = { images: [], captions: { lists: new Map(), beside: new Map() }, labels: [], litter: 0, isNumbered: false };
  const candidates: Entry[] = [];
  const folders = new Set(entries.map(({ name }) => folderOf(name)));
  const aside = (entry: Entry, reason: string) => omissions.add({ kind: "aside", source, entry: entry.name, reason });
  for (const entry of entries) {
    const { name } = entry;
    const folder = folderOf(name);
    const base = name.slice(folder.length);
    const list = listSourceOf(name);
    const shard = bookkeeping.exec(base)?.[1];
    if (isLitter(name)) {
      sorted.litter++;
      aside(entry, "litter of systems and tools");
    } else if (list) add(sorted.captions.lists, list, entry);
    else if (base === DATASET_JSON) sorted.labels.push(entry);
    else if (shard !== undefined && folders.has(`${folder}${shard}/`)) {
      sorted.isNumbered = true;
      aside(entry, "bookkeeping of img2dataset");
    } else candidates.push(entry);
  }
  const findBeside = createFinder(
    candidates.filter(({ name }) => !besideSourceOf(name) && !tables.test(name)),
    stemOf,
  );
  for (const entry of candidates) {
    const kind = besideSourceOf(entry.name);
    const found = kind && findBeside(stemOf(entry.name));
    if (kind && Array.isArray(found)) add(sorted.captions.beside, kind, { file: entry, images: found });
    else sorted.images.push(asImage(entry, { source, omissions, isText: kind !== undefined && kind.extension !== ".json" }));
  }
  return sorted;
}

/** A file that stands alone: an image, or something to be rejected with a reason. */
function asImage(entry: Entry, { source, omissions, isText }: { source: string; omissions: Omissions; isText: boolean }): Entry {
  const base = entry.name.slice(folderOf(entry.name).length);
  if (tables.test(base) || (isText && words.test(entry.name))) {
    const reason = "it looks like captions or labels, and is not read";
    entry.reason ??= reason;
    omissions.add({ kind: "captions", source, entry: entry.name, reason });
  } else if (isText) entry.reason ??= "a text file, not an image";
  return entry;
}

function add<K, V>(groups: Map<K, V[]>, key: K, value: V): void {
  const group = groups.get(key);
  if (group) group.push(value);
  else groups.set(key, [value]);
}

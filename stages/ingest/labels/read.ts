import { createFinder } from "../finder.ts";
import type { Entry } from "../listing.ts";
import type { Omissions } from "../omissions.ts";
import { byteOrder, looksLikeImage } from "../names.ts";
import { classFolders } from "./class-folders.ts";
import { datasetLabels } from "./dataset-json.ts";

/** The classes of the images of one archive. */
export interface Labels {
  of: Map<Entry, string>;
  /** Whether the names are whole numbers of a dataset.json, to be ordered as numbers. */
  areNumbers: boolean;
}

/**
 * The labels of the images of one archive: those of a dataset.json where it has one for every image, else the class folders.
 * Undefined where there are none; if that wants a word, it goes to `omissions`.
 */
export async function readLabels(options: {
  source: string;
  images: Entry[];
  /** The dataset.json files, in order. */
  files: Entry[];
  /** Whether other files say that numbered folders only divide the images. */
  isNumbered: boolean;
  read: (file: Entry) => Promise<Uint8Array | undefined>;
  omissions: Omissions;
  signal?: AbortSignal;
}): Promise<Labels | undefined> {
  const { source, images, files, read, omissions, signal } = options;
  const named = images.filter(({ name }) => looksLikeImage(name));
  const labels = new Map<Entry, string>();
  let [areNumbers, isNumbered] = [true, options.isNumbered];
  const find = createFinder(images);
  for (const file of files) {
    const bytes = await read(file);
    if (!bytes) continue;
    const found = await datasetLabels({ file, bytes, source, find, omissions, signal });
    if (found.isKnown) isNumbered = true;
    areNumbers &&= found.areNumbers;
    for (const [image, label] of found.labels) if (!labels.has(image)) labels.set(image, label);
  }
  if (labels.size > 0) {
    const bare = named.filter((image) => !labels.has(image));
    if (bare.length === 0) return { of: labels, areNumbers };
    const reason = "no classes: dataset.json has no label for some of the images";
    const detail = () => `no classes: dataset.json has no label for ${bare.length} of ${named.length} images, the first is this one`;
    omissions.add({ kind: "labels", source, entry: (bare[0] as Entry).name, reason, detail, count: labels.size });
    return undefined;
  }
  const folders = classFolders(images, { isNumbered });
  if ("labels" in folders) return { of: folders.labels, areNumbers: false };
  if (folders.why) omissions.add({ kind: "labels", source, entry: folders.at ?? "", reason: folders.why });
  return undefined;
}

/**
 * The class names of several sources in order, by their bytes, numbers of a dataset.json as numbers; and the label of each
 * name, its position. Names that differ in normalisation alone (a Mac decomposes) are one class.
 */
export function classNames(sources: Labels[]): { classes: string[]; labelOf: Map<string, number> } {
  const spellings = new Map<string, Set<string>>(); // by composed name
  for (const { of } of sources) {
    for (const name of of.values()) {
      const composed = name.normalize("NFC");
      const known = spellings.get(composed);
      if (known) known.add(name);
      else spellings.set(composed, new Set([name]));
    }
  }
  const areNumbers = sources.every((labels) => labels.areNumbers);
  const named = [...spellings].map(([composed, names]) => ({ names, name: names.size > 1 ? composed : ([...names][0] as string) }));
  named.sort(areNumbers ? (a, b) => Number(a.name) - Number(b.name) : (a, b) => byteOrder(a.name, b.name));
  const labelOf = new Map(named.flatMap(({ names }, label) => Array.from(names, (name) => [name, label] as const)));
  return { classes: named.map(({ name }) => name), labelOf };
}

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { permutation } from "../../schemas/numbers/philox.ts";
import { Failure } from "../../schemas/failure.ts";
import type { CaptionProblem, ImageFile, Rejected } from "../../schemas/images.ts";
import type { ImageSettings } from "../../schemas/settings.ts";
import { type Flow, pull } from "../flow/mod.ts";
import { captionKind, readCaptions } from "./captions.ts";
import { listFolder } from "./folder.ts";
import { classFolders, classNames } from "./labels.ts";
import { type Archive, type Entry, over, type Reader } from "./listing.ts";
import { displayName } from "../../schemas/visible.ts";
import { byteOrder, isLitter, stemOf } from "./names.ts";
import { listZip } from "./zip.ts";

/** Images from zips and folders, listed but not read. */
export interface ImageSource {
  /** How many items `images()` sends: every file but litter and caption files, in a fixed order. */
  entries: number;
  /** Names of the class folders, in byte order; a sample's label is a position in it. Empty without class folders. */
  classes: string[];
  /** How many entries have a caption. */
  captioned: number;
  problems: CaptionProblem[];
  /** How many files were passed over as litter of operating systems. */
  litter: number;
  /** sha256 (hex) over all names, sizes and (in zips) CRC-32s: tells other inputs apart without reading a file. */
  fingerprint: string;
  /** The sources in order, and how many of the entries each has. */
  parts: { source: string; entries: number }[];
  /**
   * The files at the positions that `wants` (all), one at a time; those that cannot be read as Rejected. The others are
   * not read. Closes by itself.
   */
  images(options?: { wants?: (position: number) => boolean }): Flow<ImageFile | Rejected>;
}

/**
 * Lists the images of zips and folders: in the order of `paths`, within each in byte order of the names. Labels come
 * from class folders where every source has them, captions from `readCaptions`. Throws a Failure that names the path
 * where one is missing, unreadable, empty or beyond the limits; faults of single entries come out of `images()`.
 */
export async function openImages(options: {
  paths: string[];
  limits: ImageSettings;
  shuffle?: number;
  signal?: AbortSignal;
}): Promise<ImageSource> {
  const { paths, limits, shuffle, signal } = options;
  const listed: Listed[] = [];
  const problems: CaptionProblem[] = [];
  const hash = createHash("sha256");
  let litter = 0;
  for (const path of paths) {
    signal?.throwIfAborted();
    const archive = await list(path, limits);
    archive.entries.sort((a, b) => byteOrder(a.name, b.name));
    for (const { name, size, crc } of archive.entries) hash.update(`${JSON.stringify([name, size, crc])}\n`);
    hash.update("\n");
    const found = await describe(archive);
    if (found.files.length === 0) throw new Failure(`Cannot ingest "${path}": it holds no files that could be images`);
    problems.push(...found.problems);
    litter += found.litter;
    listed.push(shuffle === undefined ? found : { ...found, files: shuffled(found.files, shuffle) });
  }
  const files = listed.flatMap((source) => source.files);
  const bytes = files.reduce((sum, { size, reason }) => sum + (reason ? 0 : size), 0);
  if (bytes > limits.maxTotalBytes) {
    throw new Failure(`Cannot ingest ${paths.join(", ")}: ${bytes} bytes of images, ${over("maxTotalBytes", limits)}`);
  }
  const hasClasses = listed.every(({ labels }) => labels);
  const classes = hasClasses ? classNames(listed.map(({ labels }) => labels)) : [];
  const labelOf = new Map(classes.map((name, label) => [name, label]));

  return {
    entries: files.length,
    classes,
    captioned: listed.reduce((sum, { captions }) => sum + captions.size, 0),
    problems,
    litter,
    fingerprint: hash.digest("hex"),
    parts: listed.map(({ archive, files }) => ({ source: archive.source, entries: files.length })),
    images: ({ wants = () => true } = {}) =>
      pull(async function* () {
        let first = 0; // position of the source's first file
        for (const { archive, files, labels, captions } of listed) {
          const start = first;
          const wanted = [...files.keys()].filter((i) => wants(start + i));
          first += files.length;
          if (wanted.length === 0) continue;
          const reader = await archive.open();
          try {
            for (const i of wanted) {
              const file = files[i] as Entry;
              const bytes = await load(reader, file);
              const place = { index: start + i, source: archive.source };
              const label = labelOf.get(labels?.get(file) ?? "");
              const caption = captions.get(file);
              yield bytes instanceof Error
                ? { kind: "rejected", ...place, entry: displayName(file.name), reason: bytes.message }
                : {
                    kind: "file",
                    ...place,
                    name: file.name,
                    bytes,
                    ...(label !== undefined && { label }),
                    ...(caption && { caption }),
                  };
            }
          } finally {
            await reader.close();
          }
        }
      }),
  };
}

interface Listed {
  archive: Archive;
  files: Entry[]; // neither litter nor captions
  litter: number;
  labels: Map<Entry, string> | undefined;
  captions: Map<Entry, string>;
  problems: CaptionProblem[];
}

async function list(path: string, limits: ImageSettings): Promise<Archive> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new Failure(`Cannot read "${path}": ${missing ? "there is no such zip or folder" : (cause as Error).message}`, { cause });
  }
  return isFolder ? listFolder(path, limits) : listZip(path, limits);
}

/** Tells the files that may be images from captions and litter, and finds their labels and captions. */
async function describe(archive: Archive): Promise<Listed> {
  const entries = archive.entries.filter(({ name }) => !isLitter(name));
  const images = entries.filter(({ name }) => !captionKind(name));
  const stems = new Set(images.map(({ name }) => stemOf(name)));
  // A .txt that belongs to no image is no caption: it is listed, so that its rejection is counted.
  const stray = entries.filter(({ name }) => captionKind(name) === "txt" && !stems.has(stemOf(name)));
  for (const file of stray) file.reason ??= "a text file, not an image";
  const belongs = new Set([...images, ...stray]);
  return {
    archive,
    files: entries.filter((entry) => belongs.has(entry)),
    litter: archive.entries.length - entries.length,
    labels: classFolders(images),
    ...(await readCaptions(archive, images)),
  };
}

function shuffled(files: Entry[], seed: number): Entry[] {
  return Array.from(permutation({ seed, stream: "listing", length: files.length }), (i) => files[i] as Entry);
}

async function load(reader: Reader, file: Entry): Promise<Uint8Array | Error> {
  if (file.reason) return new Error(file.reason);
  try {
    return await reader.read(file);
  } catch (error) {
    return error as Error;
  }
}

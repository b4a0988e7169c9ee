import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { permutation } from "../../schemas/numbers/philox.ts";
import { Failure } from "../../schemas/failure.ts";
import type { ImageFile, Problem, Rejected } from "../../schemas/images.ts";
import type { LeftOut } from "../../schemas/left-out.ts";
import type { ImageSettings } from "../../schemas/settings.ts";
import { type Flow, pull } from "../flow/mod.ts";
import { type Described, describe } from "./describe.ts";
import { isOfSystem } from "./end.ts";
import { listFolder } from "./folder.ts";
import { classNames } from "./labels/read.ts";
import { type Archive, type Entry, over, type Reader } from "./listing.ts";
import { displayName } from "../../schemas/visible.ts";
import { createOmissions, type Omissions } from "./omissions.ts";
import { byteOrder } from "./names.ts";
import { listZip } from "./zip.ts";

/** Images from zips and folders, listed but not read. */
export interface ImageSource {
  /** How many items `images()` sends: every file but litter and files of captions and labels, in a fixed order. */
  entries: number;
  /** Names of the classes in a fixed order; a sample's label is a position in it. Empty where not every source has classes. */
  classes: string[];
  /** How many entries have a caption. */
  captioned: number;
  /** The first captions, labels and files that are not taken, in words. */
  problems: Problem[];
  /** All that is in the sources and will be no row, by reason; but what `images()` rejects. */
  leftOut: LeftOut[];
  /** How many files were passed over as litter of systems and tools. */
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
 * from `readLabels` where every source has them, captions from `readCaptions`. The folders `except`, where results go, are
 * no part of a source. Throws a Failure that names the path where one is missing, unreadable, empty or beyond the limits;
 * faults of single entries come out of `images()`.
 */
export async function openImages(options: {
  paths: string[];
  limits: ImageSettings;
  shuffle?: number;
  except?: string[];
  signal?: AbortSignal;
}): Promise<ImageSource> {
  const { paths, limits, shuffle, except, signal } = options;
  const listed: Described[] = [];
  const omissions = createOmissions();
  const hash = createHash("sha256");
  let litter = 0;
  for (const path of paths) {
    signal?.throwIfAborted();
    const archive = await list(path, { limits, except, omissions });
    archive.entries.sort((a, b) => byteOrder(a.name, b.name));
    for (const { name, size, crc } of archive.entries) hash.update(`${JSON.stringify([name, size, crc])}\n`);
    hash.update("\n");
    const found = await describe({ archive, omissions, signal });
    if (found.files.length === 0) {
      const told = omissions.problems.find(({ source }) => source === displayName(archive.source));
      const why = told ? ` (${[told.entry, told.reason].filter(Boolean).join(": ")})` : "";
      throw new Failure(`Cannot ingest "${path}": it holds no files that could be images${why}`);
    }
    litter += found.litter;
    listed.push(shuffle === undefined ? found : { ...found, files: shuffled(found.files, shuffle) });
  }
  const files = listed.flatMap((source) => source.files);
  const bytes = files.reduce((sum, { size, reason }) => sum + (reason ? 0 : size), 0);
  if (bytes > limits.maxTotalBytes) {
    throw new Failure(`Cannot ingest ${paths.join(", ")}: ${bytes} bytes of images, ${over("maxTotalBytes", limits)}`);
  }
  const { classes, labelOf } = classesOf(listed, omissions);

  return {
    entries: files.length,
    classes,
    captioned: listed.reduce((sum, { captions }) => sum + captions.size, 0),
    problems: omissions.problems,
    leftOut: omissions.list(),
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
              const label = labelOf.get(labels?.of.get(file) ?? "");
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

/** Lists one source. */
async function list(
  path: string,
  { limits, except, omissions }: { limits: ImageSettings; except?: string[]; omissions: Omissions },
): Promise<Archive> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new Failure(`Cannot read "${path}": there is no such zip or folder`, { cause });
  }
  return isFolder ? listFolder({ path, limits, except, omissions }) : listZip(path, limits);
}

/** The classes of all sources. None where one of them has no classes, which is told if another has. */
function classesOf(listed: Described[], omissions: Omissions): ReturnType<typeof classNames> {
  const labelled = listed.flatMap(({ labels }) => labels ?? []);
  if (labelled.length === listed.length) return classNames(labelled);
  const bare = listed.find(({ labels }) => !labels);
  if (labelled.length > 0 && bare) {
    const count = labelled.reduce((sum, { of }) => sum + of.size, 0);
    const reason = "no classes: this source has none, and others have";
    omissions.add({ kind: "labels", source: bare.archive.source, entry: "", reason, count });
  }
  return classNames([]);
}

function shuffled(files: Entry[], seed: number): Entry[] {
  return Array.from(permutation({ seed, stream: "listing", length: files.length }), (i) => files[i] as Entry);
}

async function load(reader: Reader, file: Entry): Promise<Uint8Array | Error> {
  if (file.reason) return new Error(file.reason);
  try {
    return await reader.read(file);
  } catch (error) {
    if (isOfSystem(error)) throw error;
    return error as Error;
  }
}

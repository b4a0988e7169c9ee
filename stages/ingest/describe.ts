/** A listed source with what is known of its files before any image is read: captions and classes. */
import { readCaptions } from "./captions/read.ts";
import { isOfSystem } from "./end.ts";
import { type Labels, readLabels } from "./labels/read.ts";
import type { Archive, Entry } from "./listing.ts";
import type { Omissions } from "./omissions.ts";
import { sortFiles } from "./sort.ts";

export interface Described {
  archive: Archive;
  /** What is to be decoded or rejected. */
  files: Entry[];
  litter: number;
  labels: Labels | undefined;
  captions: Map<Entry, string>;
}

/** Tells the files that may be images from all others, and finds their labels and captions. */
export async function describe(options: { archive: Archive; omissions: Omissions; signal?: AbortSignal }): Promise<Described> {
  const { archive, omissions, signal } = options;
  const { source } = archive;
  const { images, captions, labels, litter, isNumbered } = sortFiles({ source, entries: archive.entries, omissions });
  const reader = await archive.open();
  const read = async (file: Entry): Promise<Uint8Array | undefined> => {
    signal?.throwIfAborted();
    try {
      if (file.reason) throw new Error(file.reason);
      return await reader.read(file);
    } catch (error) {
      if (isOfSystem(error)) throw error;
      const reason = "a file of captions or labels cannot be read";
      omissions.add({ kind: "captions", source, entry: file.name, reason, detail: () => `not read: ${(error as Error).message}` });
      return undefined;
    }
  };
  try {
    return {
      archive,
      files: images,
      litter,
      labels: await readLabels({ source, images, files: labels, isNumbered, read, omissions, signal }),
      captions: await readCaptions({ source, images, files: captions, read, omissions, signal }),
    };
  } finally {
    await reader.close();
  }
}

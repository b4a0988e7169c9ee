import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { settingsSchema } from "../../recipes/settings.ts";
import type { ImageSample, Rejected } from "../../schemas/images.ts";
import { drain } from "../../stages/flow/mod.ts";
import { decode, openImages } from "../../stages/ingest/mod.ts";

export const limits = settingsSchema.parse({}).images;

export type Files = Record<string, Uint8Array | string>;

/** A place for inputs, which `remove` takes away. */
export function createPlace(name: string) {
  const top = mkdtempSync(join(tmpdir(), `onestep-${name}-`));
  let made = 0;
  return {
    top,
    remove: () => rmSync(top, { recursive: true }),
    folder(files: Files): string {
      const path = join(top, `folder-${made++}`);
      for (const [name, data] of Object.entries(files)) {
        mkdirSync(dirname(join(path, name)), { recursive: true });
        writeFileSync(join(path, name), data);
      }
      return path;
    },
    /** A zip by fflate: a writer that is not ours. */
    zip(files: Files): string {
      const path = join(top, `zip-${made++}.zip`);
      writeFileSync(path, zipSync(Object.fromEntries(Object.entries(files).map(([name, data]) => [name, Buffer.from(data)]))));
      return path;
    },
  };
}

/** Everything that a source of these paths sends, decoded to 16 pixels. */
export async function readAll(paths: string[], { from = 0, except = [] as string[] } = {}) {
  const source = await openImages({ paths, limits, except });
  const samples: (ImageSample | Rejected)[] = [];
  const flow = source.images({ wants: (position) => position >= from }).pipe(decode({ ...limits, size: 16 }));
  await drain(flow, { sink: (sample) => void samples.push(sample) });
  return { source, samples };
}

export const names = (samples: (ImageSample | Rejected)[]) => samples.map((s) => (s.kind === "image" ? s.name : s.entry));

/** Of every sample by name its caption, or why it was rejected. */
export const captionsOf = (samples: (ImageSample | Rejected)[]) =>
  Object.fromEntries(samples.map((s) => (s.kind === "image" ? [s.name, s.caption] : [s.entry, `rejected: ${s.reason}`])));

/** Of every image by name the name of its class. */
export const labelsOf = ({ source, samples }: Awaited<ReturnType<typeof readAll>>) =>
  Object.fromEntries(samples.flatMap((s) => (s.kind === "image" ? [[s.name, source.classes[s.label ?? -1]]] : [])));

/** What is left out, as `kind: reason: count`. */
export const reasonsOf = ({ source }: Awaited<ReturnType<typeof readAll>>) =>
  source.leftOut.map(({ kind, reason, count }) => `${kind}: ${reason}: ${count}`);

/** The first problems, as `entry: reason`. */
export const problemsOf = ({ source }: Awaited<ReturnType<typeof readAll>>) =>
  source.problems.map(({ entry, reason }) => `${entry}: ${reason}`);

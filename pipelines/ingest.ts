/**
 * pipeline ingest IMAGES... --out LATENTS
 *
 * images | decode | encode | latent store
 */
import { within } from "../store/places/place.ts";
import type { Context } from "../schemas/events.ts";
import { leftOutInWords } from "../schemas/left-out.ts";
import { version } from "../schemas/package.ts";
import type { CodecDescription } from "../models/codecs/codecs.ts";
import type { Settings } from "../schemas/settings.ts";
import { numberInWords } from "../schemas/words.ts";
import type { LatentManifest } from "../schemas/manifest.ts";
import { latentSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import { encodeShards, latentManifestOf, startEncoder, writeLatentShards } from "../stages/encode/encode.ts";
import { batch, drain, iterate } from "../stages/flow/mod.ts";
import { decode } from "../stages/ingest/decode.ts";
import { type ImageSource, openImages } from "../stages/ingest/images.ts";
import { omissionsInWords } from "../stages/ingest/omissions.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { type Network, openCodec } from "../stages/runs/model.ts";
import { namesAt } from "../store/places/files.ts";
import { createLatentStore } from "../store/rows/latents.ts";
import type { Summary } from "../store/shards/summary.ts";
import { readFailures, type Store } from "../store/shards/store.ts";
import { finishWork, planWork, type Work } from "../store/making/work.ts";

/**
 * Encodes the images of zips and folders into a latent store at `out`. Goes on where an earlier run stopped; the result
 * is the same, also where several processes make a share each. What cannot be decoded stands in OUT/quarantine with its
 * reason, captions, labels and files that were there and are not taken in OUT/left-out.json. `repair` makes damaged shards
 * again, `retry` those with images that failed and decode now. Answers undefined when shards are left to other shares.
 * Throws a Failure when nothing could be decoded.
 */
export async function ingest(options: {
  images: string[];
  out: string;
  /** The codec to use; the one that the settings name otherwise. */
  codec?: Network<CodecDescription>;
  /** Of the encoder's engine; the settings' otherwise. */
  threads?: number;
  work?: Work;
  /** A folder of further results, which is no part of the images if it lies among them. `out` never is. */
  results?: string;
  /** Throws where the images, which are listed, will not do for what they are needed for: nothing is made yet. */
  accept?: (source: ImageSource) => Promise<void>;
  settings: Settings;
  context: Context;
}): Promise<Summary | undefined> {
  const { out, work = {}, context } = options;
  return inFolder({ folder: out, kind: "latents", command: "ingest", shared: !work.repair, context }, () => ingestHeld(options));
}

/** The same in a folder that the caller holds. */
export async function ingestHeld(options: Parameters<typeof ingest>[0]): Promise<Summary | undefined> {
  const { images, out, work = {}, results, settings, context } = options;
  const { signal, report } = context;
  // Shuffled, since simulation and training begin while the first images are all there is.
  const except = [out, ...(results === undefined ? [] : [results])];
  const source = await openImages({ paths: images, limits: settings.images, shuffle: settings.seed, except, signal });
  await options.accept?.(source);
  const codec = options.codec ?? (await openCodec(settings, context));
  const manifest = latentManifestOf({ source, codec: codec.description, settings, version: version() });
  const store = await createLatentStore({ folder: out, manifest, repair: work.repair });
  await writeDescriptions({ folder: out, codec, settings: latentSettings(settings), context, leftOut: source.leftOut });
  for (const message of omissionsInWords(source, "pipeline inspect shows them by reason"))
    report({ type: "warning", stage: "ingest", message });

  const { shards, repaired, retried } = await planWork(store, { ...work, ...context, stage: "ingest" });
  const { rowsPerShard } = store.manifest;
  const wanted = new Set(shards);
  for (const shard of await stillFailing({ store, source, retried, settings, signal })) wanted.delete(shard);
  if (wanted.size > 0) {
    const compute = await startEncoder({ codec, settings, threads: options.threads, signal });
    try {
      await drain(
        source
          .images({ wants: (position) => wanted.has(Math.floor(position / rowsPerShard)) })
          .pipe(
            decode({ ...settings.images, concurrency: 3 }),
            batch(rowsPerShard),
            encodeShards({ compute, store, isBegun: shards.length < store.shards }),
            writeLatentShards({ store, report }),
          ),
        { signal },
      );
    } finally {
      await compute.close();
    }
  }

  const summary = await finishWork(store, { ...work, signal, report, repaired, stage: "ingest" });
  if (!summary) return undefined;
  const { rows, rejected, bytes } = summary;
  if (rejected > 0) report({ type: "warning", stage: "ingest", message: await rejectedMessage(store, rejected) });
  report({
    type: "result",
    stage: "ingest",
    values: {
      out,
      rows,
      rejected,
      shards: summary.shards,
      bytes,
      classes: source.classes.length,
      captions: source.captioned,
      "left out": leftOutInWords(source.leftOut),
    },
  });
  return summary;
}

/** The first images that were rejected, and how many there are. */
async function rejectedMessage(store: Store, rejected: number): Promise<string> {
  const quarantine = within(store.folder, "quarantine");
  const [first = ""] = (await namesAt(quarantine)).filter((name) => /^\d+\.jsonl$/.test(name));
  const failures = first === "" ? [] : (await readFailures(store, Number.parseInt(first, 10))).slice(0, shown);
  const named = failures.map(({ name = "", reason }) => `${name}: ${reason}`).join("; ");
  return `${numberInWords(rejected)} rejected (${named}${rejected > failures.length ? "; ..." : ""}): see ${quarantine}`;
}

const shown = 3; // rejected images named in a warning

/** Of shards to be tried again, those none of whose failed images can be decoded now. Reads those images alone. */
async function stillFailing({
  store,
  source,
  retried,
  settings,
  signal,
}: {
  store: Store<LatentManifest>;
  source: ImageSource;
  retried: Set<number>;
  settings: Settings;
  signal: AbortSignal;
}): Promise<Set<number>> {
  const failing = new Set(retried);
  if (failing.size === 0) return failing;
  const ids = new Set<number>();
  for (const shard of retried) for (const { id } of await readFailures(store, shard)) ids.add(id);
  const again = source.images({ wants: (position) => ids.has(position) }).pipe(decode({ ...settings.images, concurrency: 3 }));
  for await (const { kind, index } of iterate(again, { signal })) {
    if (kind === "image") failing.delete(Math.floor(index / store.manifest.rowsPerShard));
  }
  return failing;
}

/**
 * pipeline ingest IMAGES... --out LATENTS
 *
 * images | decode | encode | latent store
 */
import type { Context } from "../schemas/events.ts";
import { version } from "../schemas/package.ts";
import type { CodecDescription } from "../models/codecs/codecs.ts";
import type { Settings } from "../schemas/settings.ts";
import type { LatentManifest } from "../schemas/manifest.ts";
import { latentSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import { encodeShards, latentManifestOf, writeLatentShards } from "../stages/encode/encode.ts";
import type { CodecWorker } from "../stages/workers/codec.ts";
import { batch, drain, iterate } from "../stages/flow/mod.ts";
import { decode } from "../stages/ingest/decode.ts";
import { type ImageSource, openImages } from "../stages/ingest/images.ts";
import { type Network, openCodec } from "../stages/runs/model.ts";
import { createLatentStore } from "../store/latents.ts";
import type { Summary } from "../store/summary.ts";
import { readFailures, type Store } from "../store/store.ts";
import { finishWork, planWork, type Work } from "../store/work.ts";
import { withThreads } from "../stages/workers/threads.ts";
import { startWorker } from "../stages/workers/start.ts";

/**
 * Encodes the images of zips and folders into a latent store at `out`. Goes on where an earlier run stopped; the result
 * is the same, also where several processes make a share each. What cannot be decoded stands in OUT/quarantine with its
 * reason. `repair` makes damaged shards again, `retry` those with images that failed and decode now. Answers undefined
 * when shards are left to other shares. Throws a Failure when nothing could be decoded.
 */
export async function ingest(options: {
  images: string[];
  out: string;
  /** The codec to use; the one that the settings name otherwise. */
  codec?: Network<CodecDescription>;
  /** Of the encoder's engine; the settings' otherwise. */
  threads?: number;
  work?: Work;
  settings: Settings;
  context: Context;
}): Promise<Summary | undefined> {
  const { images, out, work = {}, settings, context } = options;
  const { signal, report } = context;
  // Shuffled, since simulation and training begin while the first images are all there is.
  const source = await openImages({ paths: images, limits: settings.images, shuffle: settings.seed, signal });
  const codec = options.codec ?? (await openCodec(settings, context));
  const manifest = latentManifestOf({ source, codec: codec.description, settings, version: version() });
  const store = await createLatentStore({ folder: out, manifest, repair: work.repair });
  await writeDescriptions({ folder: out, codec, settings: latentSettings(settings) });
  for (const { source: place, entry, reason } of source.problems.slice(0, 20)) {
    report({ type: "warning", stage: "ingest", message: `${place}: ${entry}: ${reason}` });
  }

  const { shards, repaired, retried } = await planWork(store, { ...work, ...context, stage: "ingest" });
  const { rowsPerShard } = store.manifest;
  const wanted = new Set(shards);
  for (const shard of await stillFailing({ store, source, retried, settings, signal })) wanted.delete(shard);
  if (wanted.size > 0) {
    const compute = await startWorker<CodecWorker>({
      name: "image encoder",
      module: new URL("../stages/workers/codec.ts", import.meta.url),
      remedy: "lower encoder.batch or encoder.rowsPerShard",
      options: { ...codec, batch: settings.encoder.batch, engine: withThreads(settings.engine, options.threads) },
      signal,
    });
    try {
      await drain(
        source
          .images({ wants: (position) => wanted.has(Math.floor(position / rowsPerShard)) })
          .pipe(
            decode({ ...settings.images, concurrency: 3 }),
            batch(rowsPerShard),
            encodeShards({ compute, rowsPerShard }),
            writeLatentShards({ store, report }),
          ),
        { signal },
      );
    } finally {
      await compute.close();
    }
  }

  const summary = await finishWork(store, { ...work, report, repaired, stage: "ingest" });
  if (!summary) return undefined;
  const { rows, rejected, bytes } = summary;
  report({
    type: "result",
    stage: "ingest",
    values: { out, rows, rejected, shards: summary.shards, bytes, classes: source.classes.length, captions: source.captioned },
  });
  return summary;
}

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

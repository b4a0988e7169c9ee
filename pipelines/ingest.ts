/** images | decode | encode | latent store */
import { filter } from "rxjs";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { CodecDescription } from "../schemas/model.ts";
import type { Settings } from "../schemas/settings.ts";
import { encodeShards, latentManifestOf, writeLatentShards } from "../stages/encode.ts";
import type { Codec } from "../stages/compute/codec.ts";
import { batch, drain, through } from "../stages/flow/mod.ts";
import { decode } from "../stages/ingest/decode.ts";
import { openImages } from "../stages/ingest/images.ts";
import { type Network, openCodec, writeCodec } from "../stages/model.ts";
import { createLatentStore } from "../stages/store/latents.ts";
import { missingShards } from "../stages/store/store.ts";
import { sealStore, type Summary } from "../stages/store/summary.ts";
import { withThreads } from "../stages/threads.ts";
import { startWorker } from "../stages/worker.ts";

/**
 * Encodes the images of zips and folders into a latent store at `out`. Goes on where an earlier run stopped; the result
 * is the same. What cannot be decoded stands in OUT/quarantine with its reason. Throws a Failure when nothing could be.
 */
export async function ingest(options: {
  images: string[];
  out: string;
  /** The codec to use; the one that the settings name otherwise. */
  codec?: Network<CodecDescription>;
  /** Of the encoder's engine; the settings' otherwise. */
  threads?: number;
  settings: Settings;
  context: Context;
}): Promise<Summary> {
  const { images, out, settings, context } = options;
  const { signal, report } = context;
  // Shuffled, since simulation and training begin while the first images are all there is.
  const source = await openImages({ paths: images, limits: settings.images, shuffle: settings.seed, signal });
  const codec = options.codec ?? (await openCodec(settings));
  const manifest = latentManifestOf({ source, codec: codec.description, settings, version: version() });
  const store = await createLatentStore({ folder: out, manifest });
  await writeCodec(out, codec);
  await writeSettings(out, settings);
  for (const { source: place, entry, reason } of source.problems.slice(0, 20)) {
    report({ type: "warning", stage: "ingest", message: `${place}: ${entry}: ${reason}` });
  }

  const missing = await missingShards(store);
  if (missing.length > 0) {
    const { rowsPerShard } = store.manifest;
    const wanted = new Set(missing);
    const first = missing[0] as number;
    const compute = await startWorker<Codec>({
      name: "image encoder",
      module: new URL("../stages/compute/codec.ts", import.meta.url),
      remedy: "lower encoder.batch or encoder.rowsPerShard",
      options: { ...codec, batch: settings.encoder.batch, engine: withThreads(settings.engine, options.threads) },
      signal,
    });
    try {
      await drain(
        source.images({ from: first * rowsPerShard }).pipe(
          decode({ ...settings.images, concurrency: 3 }),
          batch(rowsPerShard),
          through(filter((_, i) => wanted.has(first + i))),
          encodeShards({ compute, rowsPerShard }),
          writeLatentShards({ store, report }),
        ),
        { signal },
      );
    } finally {
      await compute.close();
    }
  }

  const summary = await sealStore(store);
  if (summary.rows === 0) throw new Failure(`Cannot use ${images.join(", ")}: all ${summary.rejected} entries were rejected; see ${out}/quarantine`);
  const { rows, rejected, shards, bytes } = summary;
  report({ type: "result", stage: "ingest", values: { out, rows, rejected, shards, bytes, classes: source.classes.length, captions: source.captioned } });
  return summary;
}

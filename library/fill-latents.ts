/** The two ends of a pipeline of one's own: images of any source, encoded and written into a latent store. */
import type { OperatorFunction } from "rxjs";
import { fingerprint, type LatentManifest } from "../schemas/manifest.ts";
import type { ImageSample, Rejected } from "../schemas/images.ts";
import { version } from "../schemas/package.ts";
import { encodeShards, type LatentShard, latentManifestOf, startEncoder, writeLatentShards } from "../stages/encode/encode.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { openCodec } from "../stages/runs/model.ts";
import { latentSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import { createLatentStore } from "../store/rows/latents.ts";
import type { Store } from "../store/shards/store.ts";
import type { Summary } from "../store/shards/summary.ts";
import { finishWork, planWork } from "../store/making/work.ts";
import type { JobOptions } from "./jobs.ts";
import { prepareJob } from "./prepare-job.ts";

/** What the flow between source and store is made of. */
export interface LatentParts {
  /** The store, whose shards each hold `rowsPerShard` images: `batch(rowsPerShard)` makes their groups. */
  store: Store<LatentManifest>;
  rowsPerShard: number;
  /** Whether the shard of an image is to be made: what an earlier run has written need not be sent again. */
  wants: (index: number) => boolean;
  /** The images of one shard in the order of their index, none left out (an image that is none is sent as Rejected), to its rows. */
  encode: OperatorFunction<(ImageSample | Rejected)[], LatentShard>;
  /** Writes a shard, which must have each index as a row or as a failure, and lets it through. */
  write: OperatorFunction<LatentShard, LatentShard>;
  signal: AbortSignal;
}

/**
 * Fills a latent store at `out` from images of one's own: `flow` is given the parts to connect, and is not called where nothing is
 * missing. `entries` is how many images there will be, with the indexes 0 to entries - 1; `source` names them, and everything that decides
 * them, since a store goes on only with the same. What encodes is `settings.encoder`, and `settings.images.size` the side of
 * the images. `repair` makes damaged shards again. Answers the summary of the finished store. Throws a Failure where another store stands
 * at `out`, where shards are missing at the end, or nothing but failures is in them.
 */
export async function fillLatents(
  options: JobOptions & { out: string; entries: number; source: string; classes?: readonly string[]; repair?: boolean },
  flow: (parts: LatentParts) => Promise<void>,
): Promise<Summary> {
  const { out, entries, source, classes = [], repair } = options;
  const { settings, context } = await prepareJob(options, { stage: "ingest", parts: ["encode"] });
  const { signal, report } = context;
  return inFolder({ folder: out, kind: "latents", command: "ingest", shared: !repair, context }, async () => {
    const codec = await openCodec(settings, context);
    const images = { entries, classes: [...classes], fingerprint: fingerprint({ source }), parts: [{ source, entries }] };
    const manifest = latentManifestOf({ source: images, codec: codec.description, settings, version: version() });
    const store = await createLatentStore({ folder: out, manifest, repair });
    await writeDescriptions({ folder: out, codec, settings: latentSettings(settings), context, leftOut: [] });
    const { shards, repaired } = await planWork(store, { repair, ...context, stage: "ingest" });
    const missing = new Set(shards);
    const { rowsPerShard } = store.manifest;
    if (missing.size > 0) {
      const compute = await startEncoder({ codec, settings, signal });
      const encode = encodeShards({ compute, store, isBegun: missing.size < store.shards });
      const wants = (index: number): boolean => missing.has(Math.floor(index / rowsPerShard));
      await flow({ store, rowsPerShard, wants, encode, write: writeLatentShards({ store, report }), signal }).finally(compute.close);
    }
    return (await finishWork(store, { ...context, repaired, stage: "ingest" })) as Summary; // no share: it is all there
  });
}

/** Encodes decoded images, a shard at a time, and writes them to a latent store. */
import type { OperatorFunction } from "rxjs";
import type { Compute } from "../../engine/compute.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import type { ImageSample, Rejected } from "../../schemas/images.ts";
import type { CodecDescription } from "../../models/codecs/codecs.ts";
import type { Settings } from "../../schemas/settings.ts";
import { displayName } from "../../schemas/visible.ts";
import { type Draft, type LatentManifest, shardFormatOf } from "../../schemas/manifest.ts";
import type { Network } from "../runs/model.ts";
import type { CodecWorker } from "../workers/codec.ts";
import { startWorker } from "../workers/start.ts";
import { withThreads } from "../workers/threads.ts";
import { stage } from "../flow/mod.ts";
import { endsWhereNoneIsFinite, notFinite } from "./finite-rows.ts";
import type { ImageSource } from "../ingest/images.ts";
import type { LatentRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { type Store, writeShard } from "../../store/shards/store.ts";

/** The identity of the latent store that these images give with this codec. */
export function latentManifestOf(options: {
  source: Pick<ImageSource, "entries" | "classes" | "fingerprint" | "parts">;
  codec: CodecDescription;
  settings: Settings;
  version: string;
}): Draft<LatentManifest> {
  const { source, codec, settings, version } = options;
  const { size, background } = settings.images;
  const { kind, hash } = codec;
  return {
    shape: codec.shape,
    dtype: "float32",
    ...shardFormatOf(settings.store),
    entries: source.entries,
    rowsPerShard: settings.encoder.rowsPerShard,
    classes: source.classes,
    imageSize: size,
    encoder: { kind, hash, background },
    source: { fingerprint: source.fingerprint, parts: source.parts, shuffle: settings.seed },
    engine: { device: settings.engine.device, precision: settings.engine.precision, version },
  };
}

/** Starts the worker that encodes images; of its engine `threads` are those of the settings unless told. Close it after use. */
export function startEncoder(options: {
  codec: Network<CodecDescription>;
  settings: Settings;
  threads?: number;
  signal: AbortSignal;
}): Promise<Compute<CodecWorker>> {
  const { codec, settings, threads, signal } = options;
  return startWorker<CodecWorker>({
    name: "image encoder",
    module: new URL("../workers/codec.ts", import.meta.url),
    remedy: "lower encoder.batch or encoder.rowsPerShard",
    options: { ...codec, batch: settings.encoder.batch, engine: withThreads(settings.engine, threads) },
    signal,
  });
}

export interface LatentShard {
  shard: number;
  rows: LatentRow[];
  failed: FailedRow[];
}

/**
 * Turns the items of one shard's range into its rows; holds two shards, so that decoding goes on while one encodes. An image
 * whose latent is not finite is rejected; where all are so from the first shard on, it throws a Failure.
 */
export function encodeShards(options: {
  compute: Compute<CodecWorker>;
  store: Pick<Store<LatentManifest>, "folder" | "manifest">;
  /** Whether shards of the store are there already. */
  isBegun: boolean;
}): OperatorFunction<(ImageSample | Rejected)[], LatentShard> {
  const { compute, store, isBegun } = options;
  const { rowsPerShard } = store.manifest;
  const check = endsWhereNoneIsFinite({ folder: store.folder, isBegun, maker: "encoder" });
  return stage({
    name: "encode",
    capacity: 2,
    concurrency: 1,
    work: async (items): Promise<LatentShard> => {
      const images = items.filter((item) => item.kind === "image");
      const rejected = items.filter((item) => item.kind === "rejected");
      const each = images[0]?.pixels.length ?? 0; // all are of one size
      const pixels = new Uint8Array(images.length * each);
      for (const [i, image] of images.entries()) pixels.set(image.pixels, i * each);
      const latents = images.length > 0 ? await compute.call("encode", pixels, { transfer: [pixels.buffer] }) : new Float32Array();
      const length = latents.length / images.length;
      const failures = new Map(rejected.map(({ index, source, entry, reason }) => [index, { name: `${source}: ${entry}`, reason }]));
      const rows: LatentRow[] = [];
      let first: string | undefined;
      for (const [i, { index, source, name, label, caption }] of images.entries()) {
        const latent = latents.slice(i * length, (i + 1) * length);
        const reason = notFinite(latent);
        first ??= reason;
        if (reason === undefined) rows.push({ index, name, label, caption, latent });
        else failures.set(index, { name: `${source}: ${displayName(name)}`, reason });
      }
      const shard = Math.floor((items[0] as { index: number }).index / rowsPerShard);
      check({ shard, good: rows.length, reason: first });
      const failed = items.flatMap(({ index: id }) =>
        failures.has(id) ? { id, ...(failures.get(id) as { name: string; reason: string }) } : [],
      );
      return { shard, rows, failed };
    },
  });
}

/** Writes each shard and lets it through. */
export function writeLatentShards(options: {
  store: Store<LatentManifest>;
  report: (event: PipelineEvent) => void;
}): OperatorFunction<LatentShard, LatentShard> {
  const { store, report } = options;
  const { entries, rowsPerShard } = store.manifest;
  let rejected = 0;
  return stage({
    name: "write latents",
    capacity: 1,
    work: async (item): Promise<LatentShard> => {
      await writeShard(store, item);
      rejected += item.failed.length;
      const done = Math.min(entries, (item.shard + 1) * rowsPerShard);
      report({ type: "progress", stage: "ingest", done, total: entries, unit: "images", values: { rejected } });
      return item;
    },
  });
}

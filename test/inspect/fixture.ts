/** Stores to look at. */
import { serve } from "../../pipelines/serve.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { writeCodec } from "../../stages/runs/model.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { idRange, type Store, writeShard } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { freshFolder, tripleManifest } from "../store/fixture.ts";

export { freshFolder };

/** A context that keeps what it is told, by kind. */
export function listening(signal = new AbortController().signal) {
  const results: Record<string, Record<string, number | string>> = {};
  const tables: Record<string, Record<string, number | string>[]> = {};
  const others: PipelineEvent[] = [];
  const report = (event: PipelineEvent) => {
    if (event.type === "result") results[event.stage] = event.values;
    else if (event.type === "table") tables[event.stage] = event.rows;
    else if (event.type !== "progress") others.push(event);
  };
  return { results, tables, others, context: { report, signal } };
}

const shape: [number, number, number] = [8, 8, 3];
export const length = 192;
export const captions = ["a red cat", "a blue dog at night", '<b>owls & "quotes"</b>', "наутро 🐈"];

/** Row i of a healthy store: std 0.5 in every channel. */
export function healthyRow(id: number): TripleRow {
  const latent = normals({ seed: 4, stream: "healthy", offset: id * length, length }).map((value) => 0.5 * value);
  return { id, seed: 7n, imageIndex: id, label: id % 3, caption: captions[id % 4], latent };
}

/** A pixel-space triple store of `entries` rows in shards of 8; `change` alters a row or answers a reason to reject it. */
export async function triples(
  options: { entries?: number; manifest?: Partial<TripleManifest>; change?: (row: TripleRow) => TripleRow | string; seal?: boolean } = {},
): Promise<Store<TripleManifest>> {
  const { entries = 40, change = (row) => row, seal = true } = options;
  const folder = freshFolder();
  const manifest = tripleManifest({
    shape,
    entries,
    rowsPerShard: 8,
    classes: ["cat", "dog", "owl"],
    seed: "7",
    ...options.manifest,
  });
  const store = await createTripleStore({ folder, manifest });
  await writeCodec(folder, { description: { kind: "pixel", imageSize: 8, shape, hash: "pixel" }, weights: {} });
  for (let shard = 0; shard < store.shards; shard++) {
    const { from, to } = idRange(store.manifest, shard);
    const made = Array.from({ length: to - from }, (_, i) => change(healthyRow(from + i)));
    const failed = made.flatMap((row, i) => (typeof row === "string" ? [{ id: from + i, reason: row }] : []));
    await writeShard(store, { shard, rows: made.filter((row) => typeof row !== "string"), failed });
  }
  if (seal) await sealStore(store);
  return store;
}

/** A pixel-space latent store of as many images. */
export async function images(entries = 20, changes: Partial<LatentManifest> = {}): Promise<Store<LatentManifest>> {
  const folder = freshFolder();
  const store = await createLatentStore({
    folder,
    manifest: {
      shape,
      dtype: "float32",
      entries,
      rowsPerShard: 8,
      classes: ["cat", "dog", "owl"],
      imageSize: 8,
      encoder: { kind: "pixel", hash: "pixel" },
      source: { fingerprint: "listing" },
      engine: { device: "cpu", version: "test" },
      ...changes,
    },
  });
  await writeCodec(folder, { description: { kind: "pixel", imageSize: 8, shape, hash: "pixel" }, weights: {} });
  for (let shard = 0; shard < store.shards; shard++) {
    const { from, to } = idRange(store.manifest, shard);
    const rows = Array.from({ length: to - from }, (_, i) => from + i).map((index) => ({
      index,
      name: `photos/${index}.png`,
      label: index % 3,
      caption: index % 4 === 3 ? null : captions[index % 4],
      latent: healthyRow(index).latent.map((value) => Math.max(-1, Math.min(1, value))),
    }));
    await writeShard(store, { shard, rows });
  }
  await sealStore(store);
  return store;
}

/** Serves a store, or whatever else can be served; `stop` ends it. */
export async function served(folder: string) {
  const controller = new AbortController();
  const { others, context } = listening(controller.signal);
  const done = serve({ path: folder, port: 0, settings: resolveSettings([presetLayer("smoke")]), context });
  done.catch(() => {});
  const address = () =>
    /http:\/\/127\.0\.0\.1:\d+\//.exec(others.map((event) => (event.type === "note" ? event.message : "")).join(""))?.[0];
  while (!address()) await Promise.race([new Promise((wake) => setTimeout(wake, 10)), done]);
  const stop = () => {
    controller.abort();
    return done;
  };
  return { url: address()!, stop };
}

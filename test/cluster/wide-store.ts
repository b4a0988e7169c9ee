/** A store of many shards of one row that nobody could make for a test: what its journal and the ends of its shards say. */
import { createHash } from "node:crypto";
import type { createLatentStore } from "../../store/rows/latents.ts";
import type { JournalEntry } from "../../store/records/journal.ts";
import type { readHead } from "../../store/shards/store.ts";

export function wideManifest(shards: number): Parameters<typeof createLatentStore>[0]["manifest"] {
  return {
    ...{ shape: [1, 1, 1], dtype: "float32", entries: shards, rowsPerShard: 1, classes: [], imageSize: 1 },
    ...{ encoder: { kind: "pixel", hash: "pixel" }, source: { fingerprint: "s" }, engine: { device: "cpu", version: "test" } },
  };
}

export function wideEntry(shard: number): JournalEntry {
  return { shard, rows: 1, bytes: 900 + (shard % 7), sha256: createHash("sha256").update(String(shard)).digest("hex"), failed: [] };
}

export function wideHead(shard: number): Awaited<ReturnType<typeof readHead>> {
  const value = shard % 3;
  const sums = { count: [1], sum: [value], squares: [value * value], min: [value], max: [value], nonFinite: 0 };
  return { rows: 1, failed: [], sums, bytes: 900 + (shard % 7) } as Awaited<ReturnType<typeof readHead>>;
}

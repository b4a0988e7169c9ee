/** What a store holds, in words: the facts of its manifest, its journal and its shards' conditions. */
import { join } from "node:path";
import { bytesInWords } from "../../schemas/words.ts";
import type { Manifest } from "../../schemas/store.ts";
import { namesIn } from "../store/atomic.ts";
import type { LatentRow, TripleRow } from "../store/columns.ts";
import { readRows, shardName, type Store } from "../store/store.ts";
import { readSummary } from "../store/summary.ts";
import { balanceOf, inWords } from "./balance.ts";

/** The store's summary by name, and per-channel statistics of its latents where it is finished. */
export async function describeStore(
  store: Store,
  signal: AbortSignal,
): Promise<{ facts: Record<string, string | number>; channels?: Record<string, string> }> {
  const { manifest, journal } = store;
  const present = await presentShards(store);
  const entries = present.flatMap((shard) => journal.get(shard)?.at(-1) ?? []);
  const summary = await readSummary(store);
  const rejected = entries.flatMap(({ failed }) => failed);
  const reasons = new Set(rejected.map(({ reason }) => reason));
  const facts = {
    kind: manifest.kind,
    finished: summary ? "yes" : "no: repeat the command that made it",
    rows: `${entries.reduce((sum, { rows }) => sum + rows, 0)} of ${manifest.entries} planned`,
    shards: `${present.length} of ${store.shards}, ${manifest.rowsPerShard} rows each`,
    size: bytesInWords(entries.reduce((sum, { bytes }) => sum + bytes, 0)),
    rejected: rejected.length === 0 ? 0 : `${rejected.length} (${[...reasons].slice(0, 3).join("; ")})`,
    latent: `${manifest.shape.join(" x ")} ${manifest.dtype}`,
    conditions: inWords(await balanceOf(store, signal), manifest.classes),
    ...origin(manifest),
    engine: Object.values(manifest.engine).join(" "),
    fingerprint: store.fingerprint,
    ...(summary && { contents: summary.contents }),
  };
  if (!summary) return { facts };
  const { mean, std, min, max, nonFinite } = summary.statistics;
  const channels = Object.fromEntries(
    mean.map((_, c) => [
      `channel ${c}`,
      `mean ${fixed(mean[c]!)}  std ${fixed(std[c]!)}  min ${fixed(min[c]!)}  max ${fixed(max[c]!)}`,
    ]),
  );
  return { facts, channels: { ...channels, "not finite": `${nonFinite} values` } };
}

/** The first rows that are there, in order. */
export async function firstRows(store: Store, count: number): Promise<(LatentRow | TripleRow)[]> {
  const rows: (LatentRow | TripleRow)[] = [];
  for (const shard of await presentShards(store)) {
    if (rows.length >= count) break;
    rows.push(...(await readRows(store, { shard, from: 0, to: count - rows.length })));
  }
  return rows;
}

/** One line a row: where it comes from, its condition, and what its latent looks like in numbers. */
export function rowLines(rows: readonly (LatentRow | TripleRow)[], classes: readonly string[]): string[] {
  return rows.map((row) => {
    const origin =
      "name" in row
        ? [`image ${row.index}`, row.name]
        : [`triple ${row.id}`, `seed ${row.seed}`, ...optional("image", row.imageIndex)];
    return [...origin, captionOf(row, classes), ...spread(row.latent)].filter(Boolean).join("  ");
  });
}

/** The class name or caption of a row; empty for neither. */
export function captionOf({ label, caption }: LatentRow | TripleRow, classes: readonly string[]): string {
  return caption ?? (typeof label === "number" && label >= 0 ? (classes[label] ?? `class ${label}`) : "");
}

async function presentShards(store: Store): Promise<number[]> {
  const present = new Set(await namesIn(join(store.folder, "shards")));
  return Array.from({ length: store.shards }, (_, shard) => shard).filter((shard) => present.has(shardName(shard)));
}

function origin(manifest: Manifest): Record<string, string | number> {
  if (manifest.kind === "latents") {
    const { imageSize, encoder, source } = manifest;
    return { images: `${imageSize} px, listing ${source.fingerprint}`, encoder: `${encoder.kind} ${encoder.hash}` };
  }
  const { teacher, solver, guidance, seed, noise, conditions } = manifest;
  return {
    teacher: teacher.hash,
    solver: `${solver.name}, ${solver.steps} steps, guidance ${guidance}`,
    seed,
    noise,
    "conditions from": conditions.source,
  };
}

function spread(latent: Float32Array): string[] {
  const mean = latent.reduce((sum, value) => sum + value, 0) / latent.length;
  const variance = latent.reduce((sum, value) => sum + (value - mean) ** 2, 0) / latent.length;
  return [`mean ${fixed(mean)}`, `std ${fixed(Math.sqrt(variance))}`];
}

const optional = (name: string, value: unknown): string[] => (value == null ? [] : [`${name} ${value}`]);
const fixed = (value: number): string => value.toFixed(3);

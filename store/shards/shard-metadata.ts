/**
 * What a shard's file says of itself, read by one schema before a row is decoded: whose it is, which ids it covers, which of them
 * failed, and the sums of its latents. Whoever reads a shard (verify, train, inspect, export, merge) reads it by this.
 */
import { type Manifest, storeVersion } from "../../schemas/manifest.ts";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { abridged, type FailedRow, isCount, parseFailures } from "../records/failures.ts";
import { idRange, type Store } from "../records/layout.ts";
import type { Sums } from "../records/statistics.ts";

export interface ShardMetadata {
  /** Rows that are there: the ids of the shard's range less those that failed. */
  rows: number;
  failed: FailedRow[];
  sums: Sums;
}

/** The keys in their order; the last is the checksum of all before it. */
const keys = ["format", "version", "kind", "fingerprint", "shard", "ids", "shape", "dtype", "byteOrder", "failed", "sums"] as const;

/**
 * The metadata of a shard of this store. Throws an Error that says in words what is wrong: it belongs to another store or another
 * shard, or a key is missing, damaged or impossible.
 */
export function parseShardMetadata(store: Store, shard: number, pairs: Record<string, string>): ShardMetadata {
  const absent = [...keys, "crc32"].find((key) => pairs[key] === undefined);
  if (absent) throw new Error(`its metadata has no ${absent}`);
  const { manifest } = store;
  const { from, to } = idRange(manifest, shard);
  if (pairs.fingerprint !== store.fingerprint) throw new Error("it belongs to another store");
  if (pairs.shard !== String(shard)) throw new Error(`it is shard ${abridged(pairs.shard!)} under another name`);
  if (!(Number(pairs.version) <= storeVersion)) throw new Error(`it has format version ${abridged(pairs.version!)}`);
  const expected = {
    ...{ format: "onestep", kind: manifest.kind, ids: JSON.stringify([from, to]), shape: JSON.stringify(manifest.shape) },
    ...{ dtype: manifest.dtype, byteOrder: "little-endian" },
  };
  for (const [key, value] of Object.entries(expected)) {
    if (pairs[key] !== value) throw new Error(`its ${key} is ${abridged(pairs[key]!)}, expected ${value}`);
  }
  const failed = parseFailures(jsonOf(pairs.failed!, "its list of failures"));
  checkFailures(failed, { from, to });
  const rows = to - from - failed.length;
  const sums = parseSums(jsonOf(pairs.sums!, "its sums"), manifest, rows);
  const text = JSON.stringify(Object.fromEntries(keys.map((key) => [key, pairs[key]])));
  if (pairs.crc32 !== String(crc32(Buffer.from(text)))) throw new Error("its metadata does not match its checksum");
  return { rows, failed, sums };
}

function checkFailures(failed: FailedRow[], { from, to }: { from: number; to: number }): void {
  const seen = new Set<number>();
  for (const { id } of failed) {
    if (id < from || id >= to) throw new Error(`it lists a failure of id ${id}, outside its ids ${from} to ${to - 1}`);
    if (seen.has(id)) throw new Error(`it lists the failure of id ${id} twice`);
    seen.add(id);
  }
}

function parseSums(value: unknown, { shape: [height, width, channels] }: Manifest, rows: number): Sums {
  const sums = (value ?? {}) as Record<string, unknown>;
  const listed = (key: keyof Sums, fits: (value: unknown) => boolean): boolean => {
    const list = sums[key];
    return Array.isArray(list) && list.length === channels && list.every(fits);
  };
  const isNumber = (value: unknown): boolean => Number.isFinite(value);
  const isBound = (value: unknown): boolean => value === null || isNumber(value);
  const tests = {
    count: listed("count", isCount),
    sum: listed("sum", isNumber),
    squares: listed("squares", (value) => isNumber(value) && (value as number) >= 0),
    min: listed("min", isBound),
    max: listed("max", isBound),
    nonFinite: isCount(sums.nonFinite),
  };
  const wrong = Object.entries(tests).find(([, fits]) => !fits);
  if (wrong) throw new Error(`its sums are impossible: ${wrong[0]} is ${abridged(JSON.stringify(sums[wrong[0]]) ?? "missing")}`);
  const { count, sum, squares, min, max, nonFinite } = value as Sums;
  const values = count.reduce((all, each) => all + each, nonFinite);
  if (values !== rows * height * width * channels) throw new Error(`its sums are of ${values} values, and its rows have another number`);
  return { count, sum, squares, min, max, nonFinite };
}

function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${what} is no JSON`);
  }
}

import type { Manifest } from "../../schemas/manifest.ts";
import { examineShard, type Sound } from "./examine.ts";
import type { FailedRow } from "../records/journal.ts";
import type { RowOf, Store } from "../records/layout.ts";
import { isUrl } from "../places/place.ts";
import { examineObject } from "./object.ts";
import { decodeRows, decodeScalars } from "../format/shard.ts";
import { damage, idProblem, rowProblem, withShard } from "./shard-file.ts";
import type { ShardMetadata } from "./shard-metadata.ts";

/**
 * All rows of a shard, checked: its sha256 and sums on the first read of this process; what it says of itself, its ids and the
 * rows' checksums on every read. Throws a Failure that names the shard and its damaged rows, or that it is missing.
 *
 * @example
 * import { readShard } from "onestep/store";
 * const rows = await readShard(latents, 6);
 * assert.deepEqual(rows.map(({ index }) => index), [48, 49]);
 */
export async function readShard<M extends Manifest>(store: Store<M>, shard: number): Promise<RowOf<M>[]> {
  return (await sound(store, shard)).rows as RowOf<M>[];
}

/** A shard's rows, bytes and sha256, all of it checked anew. Throws a Failure like `readShard`. */
export async function readWhole(store: Store, shard: number): Promise<Sound> {
  store.sound.delete(shard);
  return sound(store, shard);
}

async function sound(store: Store, shard: number): Promise<Sound> {
  const examined = isUrl(store.folder) ? await examineObject(store, shard) : await examineShard(store, shard);
  if (examined.problem !== undefined) throw damage(store, shard, examined.problem);
  return examined;
}

/**
 * What a shard says of itself, read from its end alone and checked as far as that tells: rows, failures, sums. Throws a Failure
 * where it is damaged or missing.
 *
 * @example
 * import { readHead } from "./store.ts";
 * const { rows, failed } = await readHead(latents, 6);
 * assert.deepEqual([rows, failed], [2, []]);
 */
export async function readHead(store: Store, shard: number): Promise<ShardMetadata & { bytes: number }> {
  return withShard(store, shard, async ({ metadata, file }) => ({ ...metadata, bytes: file.byteLength }));
}

/**
 * The failed rows of a shard, read from its end alone.
 *
 * @example
 * import { readFailures } from "onestep/store";
 * assert.deepEqual(await readFailures(latents, 0), []);
 */
export async function readFailures(store: Store, shard: number): Promise<FailedRow[]> {
  return (await readHead(store, shard)).failed;
}

/**
 * Rows of a shard by position, without reading the rest: for looking, not for training. Checks these rows alone.
 *
 * @example
 * import { readRows } from "onestep/store";
 * const [row] = await readRows(latents, { shard: 1, from: 2, to: 3 });
 * assert.equal(row?.index, 10);
 */
export async function readRows<M extends Manifest>(
  store: Store<M>,
  options: { shard: number; from: number; to: number },
): Promise<RowOf<M>[]> {
  const { shard, from } = options;
  return withShard(store, shard, async ({ file, groups, metadata }) => {
    const to = Math.min(options.to, metadata.rows);
    const decoded = await decodeRows({ columns: store.columns, file, groups, from, to });
    const problem = rowProblem(store, decoded, from) ?? idProblem(store, { shard, failed: metadata.failed, rows: decoded.rows, from });
    if (problem) throw new Error(problem);
    return decoded.rows as RowOf<M>[];
  });
}

/**
 * All that is no tensor of the rows of a shard, for choosing rows by it. Their checksums, which cover the tensors, are not checked.
 *
 * @example
 * import { readScalars } from "./read.ts";
 * const [first] = await readScalars(latents, 6);
 * assert.equal(first?.name, "dir/48.png");
 */
export async function readScalars(store: Store, shard: number): Promise<Record<string, unknown>[]> {
  return withShard(store, shard, ({ file, groups }) => decodeScalars({ columns: store.columns, file, groups }));
}

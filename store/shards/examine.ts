/** All that can be wrong with a shard, found without trusting a number in it. */
import type { AsyncBuffer } from "hyparquet";
import { memoryPieces, readStretch, type Stretch } from "../places/buffers.ts";
import { sha256Pieces } from "../places/hash.ts";
import { readEntriesOf } from "../records/entries.ts";
import type { FailedRow, Recorded } from "../records/journal.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { tensorOf } from "../format/columns.ts";
import type { RowOf, Store } from "../records/layout.ts";
import { decodeRows } from "../format/shard.ts";
import { mostShardBytes, type RowGroup } from "../format/shard-format.ts";
import { headOf, idProblem, problemOf, rowProblem, withFile } from "./shard-file.ts";
import type { ShardMetadata } from "./shard-metadata.ts";
import { createSums } from "../records/statistics.ts";
import type { Row } from "../format/stored-rows.ts";
import { shardBytes } from "./write.ts";

export interface Sound {
  rows: Row[];
  /** How many bytes the file has, and these in order; tensors of the rows may be views of them. */
  bytes: number;
  pieces: Uint8Array[];
  metadata: ShardMetadata;
  /** Of the bytes, on the first read of this process; empty on later ones. */
  sha256: string;
  problem?: undefined;
}

/**
 * Reads and checks a shard; `problem` says what is wrong with it. What its end says is checked first, so that nothing in the file
 * can ask for more memory than the file has. Throws only when the file is missing or cannot be read.
 *
 * @example
 * import { examineShard } from "./examine.ts";
 * const { problem } = await examineShard(latents, 0);
 * assert.equal(problem, undefined);
 */
export async function examineShard(store: Store, shard: number): Promise<Sound | { problem: string }> {
  try {
    return await withFile(store, shard, (file) => examineFile(store, shard, file));
  } catch (error) {
    return { problem: problemOf(error) }; // what stands there is no file
  }
}

/** The same of a shard's bytes, wherever they come from. */
export async function examineFile(store: Store, shard: number, file: AsyncBuffer): Promise<Sound | { problem: string }> {
  try {
    const first = !store.sound.has(shard);
    const size = file.byteLength;
    const recorded = first ? await recordedOf(store, shard, (entry) => entry.bytes === size) : undefined;
    if (recorded?.length === 0) {
      throw new Error(`its sha256 is not the one in journal.jsonl: it has ${size} bytes, expected ${sizesOf(store, shard)}`);
    }
    if (size > mostShardBytes) throw new Error(`it has ${size} bytes, expected at most ${mostShardBytes}`);
    const { groups, metadata } = await headOf(store, shard, file);
    const reading = stretchesOf(groups, size).map((stretch) => readStretch(file, stretch));
    const read = Promise.all(reading);
    read.catch(() => {}); // reported when it is awaited
    const hash = first ? await sha256Pieces(reading) : ""; // of one piece while the next ones are read
    const pieces = await read;
    const { columns, manifest } = store;
    const sums = createSums(manifest.shape[2]);
    const onSound = first ? (row: Row) => sums.add(tensorOf(row as RowOf<Manifest>)) : undefined;
    const decoded = await decodeRows({ columns, file: memoryPieces(pieces), groups, from: 0, to: metadata.rows, onSound });
    const { rows } = decoded;
    const problem = rowProblem(store, decoded) ?? idProblem(store, { shard, failed: metadata.failed, rows, from: 0 });
    if (recorded && !(await recordedOf(store, shard, (entry) => entry.sha256 === hash))?.length) {
      throw new Error(`its sha256 is not the one in journal.jsonl, ${problem ?? "though its rows are sound"}`);
    }
    if (problem) throw new Error(problem);
    if (first) {
      if (JSON.stringify(sums.result()) !== JSON.stringify(metadata.sums)) throw new Error("its sums are not those of its rows");
      if (!recorded && !(await isCanonical(store, shard, pieces, rows, metadata.failed))) {
        throw new Error("its bytes are not what its rows give");
      }
      store.sound.add(shard);
    }
    return { rows, bytes: size, pieces, metadata, sha256: hash };
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/** The journal's lines of a shard that fit; undefined when it has none of that shard. Reads the journal on where none does. */
async function recordedOf(store: Store, shard: number, fits: (entry: Recorded) => boolean): Promise<Recorded[] | undefined> {
  const found = () => store.journal.entries.get(shard)?.filter(fits);
  for (const all of [false, true]) {
    if (found()?.length) return found();
    await readEntriesOf(store, shard, { all }); // the shard may be newer than the last reading
  }
  return found();
}

function sizesOf(store: Store, shard: number): string {
  const sizes = store.journal.entries.get(shard)?.map(({ bytes }) => bytes) ?? [];
  return sizes.slice(0, 3).join(" or ");
}

/** Whether a file is bit by bit what its rows and failures give: the check of a shard whose journal line was lost. */
async function isCanonical(store: Store, shard: number, pieces: Uint8Array[], rows: Row[], failed: FailedRow[]): Promise<boolean> {
  return Buffer.concat(pieces).equals(await shardBytes(store, shard, rows, failed));
}

/** All of a file: each group of rows, and what lies before, between and after them. */
function stretchesOf(groups: readonly RowGroup[], size: number): Stretch[] {
  const stretches: Stretch[] = [];
  let end = 0;
  for (const { bytes } of [...groups, { bytes: { from: size, to: size, aligned: size } }]) {
    if (bytes.from > end) stretches.push({ from: end, to: bytes.from, aligned: end });
    if (bytes.to > bytes.from) stretches.push(bytes);
    end = bytes.to;
  }
  return stretches;
}

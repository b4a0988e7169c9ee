/** One store of the shards of several, made apart. */
import type { PipelineEvent } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { differences } from "../../schemas/manifest.ts";
import { descriptionFiles, examineDescriptions } from "../records/checksums.ts";
import { filesAt, namesAt } from "../places/files.ts";
import { within } from "../places/place.ts";
import { piecesOf } from "../places/buffers.ts";
import { readWhole } from "../shards/read.ts";
import { createStore, openStore, presentShards, shardPath, type Store } from "../shards/store.ts";
import { planWork } from "./work.ts";
import { copyShard } from "../shards/write.ts";

/**
 * Copies the shards of several stores of one fingerprint into another, which may have some already. Each is checked
 * before it is copied; one that several have must be the same in all. The sources are only read. With `repair` the other is verified
 * first, and its damaged shards are copied again: `repaired` names these. Throws a Failure that names what differs, or which shard.
 *
 * @example
 * import { mergeStores } from "./merge.ts";
 * const { copied, shared } = await mergeStores({ from: [latents.folder], to: folder });
 * assert.deepEqual([copied, shared], [7, 0]);
 */
export async function mergeStores(options: {
  from: string[];
  to: string;
  repair?: boolean | undefined;
  signal?: AbortSignal;
  report?: (event: PipelineEvent) => void;
}): Promise<{ store: Store; copied: number; shared: number; repaired: number[] }> {
  const { from, to, repair, signal = new AbortController().signal, report = () => {} } = options;
  const sources = await Promise.all(from.map((folder) => openStore({ folder })));
  const first = sources[0] as Store;
  for (const other of sources) {
    if (other.fingerprint === first.fingerprint) continue;
    const list = differences(other.manifest, first.manifest).join("; ");
    throw new Failure(`Cannot merge ${other.folder} with ${first.folder}: it was made with other settings (${list}).`);
  }
  const store = await createStore({ folder: to, manifest: first.manifest, repair });
  const { repaired } = await planWork(store, { repair, stage: "merge", signal, report });
  const hashes = new Map<number, { hash: string; folder: string }>();
  for (const shard of await presentShards(store)) {
    signal.throwIfAborted();
    if (!store.remade.has(shard)) hashes.set(shard, { hash: (await readWhole(store, shard)).sha256, folder: to });
  }
  let [copied, shared] = [0, 0];
  for (const source of sources) {
    for (const shard of await presentShards(source)) {
      signal.throwIfAborted();
      const { pieces, sha256: hash, metadata } = await readWhole(source, shard);
      const known = hashes.get(shard);
      if (known && known.hash !== hash) {
        throw new Failure(
          `Cannot merge ${source.folder} with ${known.folder}: both have shard ${shard} and they differ, so they were made on unlike ` +
            `devices. Remove ${shardPath(source, shard)} to keep the other.`,
        );
      }
      if (known) shared++;
      else {
        await copyShard(store, { shard, bytes: Buffer.concat(pieces), failed: metadata.failed });
        hashes.set(shard, { hash, folder: source.folder });
        copied++;
      }
      report({ type: "progress", stage: "merge", done: hashes.size, total: store.shards, unit: "shards" });
    }
  }
  const lost = repaired.find((shard) => !hashes.has(shard));
  if (lost !== undefined) {
    throw new Failure(`Cannot repair shard ${lost} of ${to}: none of the stores that are merged has it. Name one that does as well.`);
  }
  await copyDescriptions(sources, to);
  return { store, copied, shared, repaired };
}

/** Codec and settings come from the first store that has them and is sound. */
async function copyDescriptions(sources: Store[], to: string): Promise<void> {
  if ((await examineDescriptions(to))?.length === 0) return;
  for (const { folder } of sources) {
    if ((await examineDescriptions(folder))?.length !== 0) continue;
    const present = new Set(await namesAt(folder));
    for (const name of [...descriptionFiles, "checksums.json"]) {
      if (present.has(name)) await filesAt(to).replace(within(to, name), piecesOf(within(folder, name)));
    }
    return;
  }
}

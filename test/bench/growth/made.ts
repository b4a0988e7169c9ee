/** Stores and zips of any size, of pictures of 16 px in three channels. */
import { writeFileSync } from "node:fs";
import { normals } from "../../../schemas/numbers/philox.ts";
import { settingsSchema } from "../../../recipes/settings.ts";
import { openCodec } from "../../../stages/runs/model.ts";
import { createLatentStore } from "../../../store/rows/latents.ts";
import { idRange, writeShard } from "../../../store/shards/store.ts";
import { sealStore } from "../../../store/shards/summary.ts";
import { picture } from "../../fixtures/png.ts";
import { writeZip } from "../../fixtures/zip.ts";

export const SIZE = 16;
const length = SIZE * SIZE * 3;

/** A finished latent store of pixels with captions; one row in fifty failed, so that there is a quarantine. */
export async function makeStore({ folder, rows, shards }: { folder: string; rows: number; shards: number }): Promise<void> {
  const settings = settingsSchema.parse({ images: { size: SIZE }, encoder: { kind: "pixel" } });
  const codec = await openCodec(settings);
  const store = await createLatentStore({
    folder,
    manifest: {
      ...{ shape: [SIZE, SIZE, 3], dtype: "float32", entries: rows, rowsPerShard: Math.ceil(rows / shards), classes: [], imageSize: SIZE },
      engine: { device: "cpu", version: "growth" },
      encoder: { kind: codec.description.kind, hash: codec.description.hash },
      source: { fingerprint: "growth" },
    },
  });
  const values = normals({ seed: 1, stream: "growth", length: 64 * length }).map((value) => Math.max(-1, Math.min(1, value / 3)));
  for (let shard = 0; shard < store.shards; shard++) {
    const { from, to } = idRange(store.manifest, shard);
    const ids = Array.from({ length: to - from }, (_, i) => from + i);
    const failed = ids.filter((id) => id % 50 === 7).map((id) => ({ id, name: `${id}.png`, reason: "not an image" }));
    const kept = ids.filter((id) => id % 50 !== 7);
    const latentOf = (id: number) => {
      const latent = values.slice((id % 64) * length, ((id % 64) + 1) * length);
      latent[0] = (id % 2000) / 2000;
      return latent;
    };
    await writeShard(store, {
      ...{ shard, failed },
      rows: kept.map((id) => ({ index: id, name: `${id}.png`, caption: `picture ${id}`, latent: latentOf(id) })),
    });
  }
  await sealStore(store);
}

/** A zip of so many PNGs, a hundred unlike ones under names of their own. */
export function makeZip({ path, rows }: { path: string; rows: number }): void {
  const pictures = Array.from({ length: 100 }, (_, seed) => picture(seed, SIZE));
  const entries = Array.from({ length: rows }, (_, i) => ({ name: `${i}.png`, data: pictures[i % 100]!, store: true }));
  writeFileSync(path, writeZip(entries, rows > 65_535 ? { zip64: {} } : {}));
}

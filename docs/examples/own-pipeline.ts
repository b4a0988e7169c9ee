// Pictures of one's own | encoded | filtered | into a latent store, and read back as Arrow record batches.
import { openStore } from "onestep";
import { batch, drain, fillLatents, type ImageSample, type LatentShard, pull, through } from "onestep/flow";
import { map } from "rxjs";

const SIZE = 16;
const COUNT = 40;

/** The source: stripes that grow wider, every tenth picture empty. It is asked for the next picture when there is room for it. */
async function* stripes(wants: (index: number) => boolean): AsyncGenerator<ImageSample> {
  for (let index = 0; index < COUNT; index++) {
    const tone = (x: number) => (index % 10 === 9 || Math.floor(x / (1 + (index % 8))) % 2 === 0 ? 240 : 20);
    const pixels = Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => tone(Math.floor(i / 3) % SIZE));
    if (wants(index)) yield { kind: "image", index, source: "stripes", name: `${index}`, label: index % 2, size: SIZE, pixels };
  }
}

/** The filter: an image without contrast is no row. What it takes out stands in the store's quarantine, with the reason. */
function withoutFlat({ shard, rows, failed }: LatentShard): LatentShard {
  const isFlat = ({ latent }: LatentShard["rows"][number]) => latent.every((value) => value === latent[0]);
  const flat = rows.filter(isFlat).map(({ index, name }) => ({ id: index, name, reason: "no contrast" }));
  return { shard, rows: rows.filter((row) => !isFlat(row)), failed: [...failed, ...flat] };
}

const settings = { images: { size: SIZE }, encoder: { kind: "pixel", rowsPerShard: 16 } } as const;
const filled = { out: "latents", entries: COUNT, source: "stripes 1", classes: ["even", "odd"], settings };
const { rows, rejected } = await fillLatents(filled, ({ rowsPerShard, wants, encode, write, signal }) =>
  drain(pull(() => stripes(wants)).pipe(batch(rowsPerShard), encode, through(map(withoutFlat)), write), { signal }),
);
console.log(`${rows} rows, ${rejected} rejected`);

const store = await openStore("latents");
for await (const part of store.batches({ columns: ["index", "label", "latent"] })) console.log(`a record batch of ${part.numRows} rows`);

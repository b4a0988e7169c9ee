/** Latent stores of images from any source: the same rows as the images say, made once, and refused where the source is another. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { batch, drain, fillLatents, type ImageSample, pull, through } from "../../library/flow.ts";
import { openLatentStore, readLatents } from "../../library/store.ts";
import { tap } from "rxjs";
import { assert, suite } from "../harness.ts";

const test = suite("latents of one's own images");
const folder = mkdtempSync(join(tmpdir(), "onestep-fill-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const [SIZE, COUNT] = [4, 10];
const asked = {
  out: join(folder, "latents"),
  entries: COUNT,
  source: "ramps",
  settings: { images: { size: SIZE }, encoder: { kind: "pixel", rowsPerShard: 4 } },
} as const;
const pixelsOf = (index: number): Uint8Array => Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => (i * 5 + index) % 256);

async function* ramps(wants: (index: number) => boolean, seen: number[]): AsyncGenerator<ImageSample> {
  for (let index = 0; index < COUNT; index++) {
    if (!wants(index)) continue;
    seen.push(index);
    yield { kind: "image", index, source: "ramps", name: `${index}`, size: SIZE, pixels: pixelsOf(index) };
  }
}

test("a run that ends after its first shard goes on with the others, and a third does nothing", async () => {
  const [first, second]: number[][] = [[], []];
  const enough = new Error("enough");
  const stopped = fillLatents(asked, ({ rowsPerShard, wants, encode, write, signal }) => {
    const stop = tap(() => {
      throw enough;
    });
    return drain(pull(() => ramps(wants, first!)).pipe(batch(rowsPerShard), encode, write, through(stop)), { signal });
  });
  assert.is(await stopped.catch((error) => error), enough);
  const { rows, rejected } = await fillLatents(asked, ({ rowsPerShard, wants, encode, write, signal }) =>
    drain(pull(() => ramps(wants, second!)).pipe(batch(rowsPerShard), encode, write), { signal }),
  );
  assert.equal([rows, rejected], [COUNT, 0]);
  assert.is(first![0], 0);
  assert.ok(second![0]! >= 4, `the first shard was made again: ${second}`);
  const again = await fillLatents(asked, async () => assert.unreachable("all is there"));
  assert.is(again.rows, COUNT);
});

test("a damaged shard is made again, and only that, where a repair is asked for", async () => {
  const path = join(asked.out, "shards/000001.parquet");
  const sound = readFileSync(path);
  writeFileSync(path, "torn");
  const seen: number[] = [];
  await fillLatents({ ...asked, repair: true, report: () => {} }, ({ rowsPerShard, wants, encode, write, signal }) =>
    drain(pull(() => ramps(wants, seen)).pipe(batch(rowsPerShard), encode, write), { signal }),
  );
  assert.equal(seen, [4, 5, 6, 7]);
  assert.ok(readFileSync(path).equals(sound));
});

test("rows are the pixels from -1 to 1", async () => {
  let rows = 0;
  for await (const { index, latent } of readLatents(await openLatentStore({ folder: asked.out }))) {
    assert.is(index, rows++);
    assert.close(
      latent,
      Array.from(pixelsOf(index), (value) => value / 127.5 - 1),
      1e-6,
    );
  }
  assert.is(rows, COUNT);
});

test("another source, and images that are left out, are refused", async () => {
  const other = () => fillLatents({ ...asked, source: "other ramps" }, async () => {});
  await assert.rejects(other, /Cannot go on with the store .*source\.fingerprint/);
  const short = fillLatents({ ...asked, out: join(folder, "short") }, async () => {});
  await assert.rejects(short, /Cannot finish the store .*: 3 of 3 shards are missing/);
});

test.run();

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharp } from "../../schemas/sharp.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { openReference, type Reference } from "../../stages/evaluate/reference.ts";
import { openCodec, writeCodec } from "../../stages/runs/model.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { writeShard } from "../../store/shards/store.ts";
import { assert, suite } from "../harness.ts";

const test = suite("reference images");

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-reference-"));
  for (let i = 0; i < 12; i++) {
    const background = { r: 20 * i, g: 0, b: 0 };
    await sharp({ create: { width: 8, height: 8, channels: 3, background } })
      .png()
      .toFile(join(folder, `${i}.png`));
    await writeFile(join(folder, `${i}.txt`), `number ${i}`);
  }
  for (const name of ["a.png", "b.png"]) await writeFile(join(folder, name), "no picture");
});
test.after(() => rm(folder, { recursive: true }));

const settingsOf = (seed: number) => settingsSchema.parse({ seed, images: { size: 8 } });

async function drawn(count: number, seed: number, reference?: Reference): Promise<{ red: number; caption?: string }[]> {
  const { draw } = reference ?? (await openReference({ path: folder, settings: settingsOf(seed) }));
  const result: { red: number; caption?: string }[] = [];
  for await (const { pixels, caption } of draw(count)) {
    assert.is(pixels.length, 8 * 8 * 3);
    result.push({ red: pixels[0]!, caption });
  }
  return result;
}

test("exactly as many as asked for, no two alike, damaged files replaced, captions kept", async () => {
  for (const count of [1, 5, 12]) {
    const pictures = await drawn(count, 3);
    assert.is(pictures.length, count);
    assert.is(new Set(pictures.map(({ red }) => red)).size, count);
    for (const { red, caption } of pictures) assert.is(caption, `number ${red / 20}`);
  }
});

test("the draw is the seed's, and covers the whole folder", async () => {
  assert.equal(await drawn(5, 1), await drawn(5, 1));
  assert.not.equal(await drawn(5, 1), await drawn(5, 2));
  const seen = new Set<number>();
  for (let seed = 0; seed < 12; seed++) for (const { red } of await drawn(4, seed)) seen.add(red);
  assert.is(seen.size, 12);
});

test("what is not measured of the folder is told", async () => {
  const { omissions } = await openReference({ path: folder, settings: settingsOf(4) });
  assert.equal(
    omissions.map((words) => /: ([ab]\.png): no caption$/.exec(words)?.[1]),
    ["a.png", "b.png"],
  );
});

test("the next draw goes on where the last one stopped, until nothing is left", async () => {
  const reference = await openReference({ path: folder, settings: settingsOf(4) });
  const [first, second, third] = [await drawn(5, 4, reference), await drawn(9, 4, reference), await drawn(1, 4, reference)];
  assert.equal([first.length, second.length, third.length], [5, 7, 0]);
  assert.is(new Set([...first, ...second].map(({ red }) => red)).size, 12);
});

test("a latent store gives its images back through its own codec", async () => {
  const store = await createLatentStore({
    folder: join(folder, "latents"),
    manifest: {
      shape: [8, 8, 3],
      dtype: "float32",
      entries: 5,
      rowsPerShard: 2,
      classes: [],
      imageSize: 8,
      encoder: { kind: "pixel", hash: "pixel" },
      source: { fingerprint: "test" },
      engine: { device: "cpu", version: "test" },
    },
  });
  await writeCodec(store.folder, await openCodec(settingsSchema.parse({ images: { size: 8 }, encoder: { kind: "pixel" } })));
  for (const shard of [0, 1, 2]) {
    const ids = [2 * shard, 2 * shard + 1].filter((index) => index < 5);
    const rows = ids
      .filter((index) => index !== 3)
      .map((index) => ({
        index,
        name: `${index}.png`,
        label: index,
        latent: new Float32Array(192).fill((20 * index) / 127.5 - 1),
      }));
    const failed = ids.includes(3) ? [{ id: 3, name: "3.png", reason: "damaged" }] : [];
    await writeShard(store, { shard, rows, failed });
  }
  const reference = await openReference({ path: store.folder, settings: settingsOf(1) });
  assert.equal([reference.size, reference.available], [8, 5]);
  const labels: (number | undefined)[] = [];
  for await (const { pixels, label } of reference.draw(5)) {
    assert.is(pixels[0], 20 * label!);
    labels.push(label);
  }
  assert.equal(labels.sort(), [0, 1, 2, 4]);
});

test.run();

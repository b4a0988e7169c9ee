import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Picture } from "../../schemas/images.ts";
import { wrap } from "../../stages/picture/lettering.ts";
import { writeGrid } from "../../stages/picture/write-grid.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";

const test = suite("picture grid");
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-grid-"));
});
test.after(() => rm(folder, { recursive: true }));

/** A picture in which every channel of every pixel differs. */
function ramp(width: number, height: number, start: number): Picture {
  return { width, height, pixels: Uint8Array.from({ length: width * height * 3 }, (_, i) => (start + i * 7) % 256) };
}

async function cut(path: string, left: number, top: number, width: number, height: number): Promise<Uint8Array> {
  return new Uint8Array(await sharp(path).extract({ left, top, width, height }).raw().toBuffer());
}

test("lays pictures out row by row and keeps their pixels, beside words too", async () => {
  const images = [ramp(40, 30, 0), ramp(40, 30, 50), ramp(40, 30, 100)];
  const path = join(folder, "words.png");
  await writeGrid({
    path,
    images,
    columns: 2,
    gap: 3,
    captions: ["a cat", "<b> & c", "x"],
    rowLabels: ["teacher", "student"],
  });
  const { width, height } = await sharp(path).metadata();
  const label = width! - (3 + 2 * 43);
  assert.ok(label > 30, "room for the labels");
  const caption = (height! - 3 - 2 * 33) / 2;
  assert.ok(caption >= 14, "room for the captions");
  const places: [number, number][] = [
    [label + 3, 3],
    [label + 46, 3],
    [label + 3, 3 + 33 + caption],
  ];
  for (const [i, [x, y]] of places.entries()) assert.equal(await cut(path, x, y, 40, 30), images[i]!.pixels, `picture ${i}`);
  const words = await cut(path, label + 3, 3 + 30, 40, caption);
  const fonts = words.some((value) => value < 200);
  if (!fonts) console.log("no font on this machine: captions are blank");
});

test("enlarges by whole squares", async () => {
  const path = join(folder, "scale.png");
  await writeGrid({
    path,
    images: [{ width: 2, height: 1, pixels: Uint8Array.of(9, 8, 7, 6, 5, 4) }],
    columns: 8,
    gap: 0,
    scale: 2,
  });
  const row = [9, 8, 7, 9, 8, 7, 6, 5, 4, 6, 5, 4];
  assert.equal([...(await cut(path, 0, 0, 4, 2))], [...row, ...row]);
});

test("gives the same bytes again and leaves no temporary file", async () => {
  const images = [ramp(8, 8, 1), ramp(8, 8, 2)];
  for (const name of ["one.png", "two.png"]) await writeGrid({ path: join(folder, name), images, columns: 1, captions: ["q"] });
  assert.ok((await readFile(join(folder, "one.png"))).equals(await readFile(join(folder, "two.png"))));
  assert.equal(
    (await readdir(folder)).filter((name) => !name.endsWith(".png")),
    [],
  );
});

test("refuses no pictures and pictures of two sizes", async () => {
  const path = join(folder, "never.png");
  await assert.rejects(writeGrid({ path, images: [], columns: 4 }), /there are no pictures/);
  await assert.rejects(writeGrid({ path, images: [ramp(2, 2, 0), ramp(2, 3, 0)], columns: 4 }), /picture 1 is 2x3 and the first is 2x2/);
});

test("breaks captions into at most three lines", () => {
  assert.equal(wrap("a red fox", 200), ["a red fox"]);
  assert.equal(wrap("a red fox in snow", 64), ["a red fox", "in snow"]);
  const long = wrap("one two three four five six seven eight nine ten", 40);
  assert.is(long.length, 3);
  assert.match(long[2]!, /…$/);
});

test.run();

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import StreamZip from "node-stream-zip";
import { sharp } from "../../schemas/sharp.ts";
import { parseCaption } from "../../data/scenes/attributes.ts";
import { writeSceneZip } from "../../data/scenes/build.ts";
import { assert, suite } from "../harness.ts";

const test = suite("scene zip");
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-scenes-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));

test("another zip reader finds the pictures and their captions", async () => {
  const path = join(folder, "scenes.zip");
  const steps: number[] = [];
  await writeSceneZip({ path, count: 30, seed: 4, onProgress: ({ done }) => steps.push(done) });
  assert.is(steps.at(-1), 30);
  const zip = new StreamZip.async({ file: path });
  try {
    const entries = await zip.entries();
    const [header, ...lines] = (await zip.entryData("captions.csv")).toString().trim().split("\n");
    assert.is(header, "file_name,text");
    assert.is(lines.length, 30);
    assert.is(Object.keys(entries).length, 31);
    for (const line of lines) {
      const [, name, caption] = /^(.+\.png),"(.+)"$/.exec(line)!;
      assert.is(parseCaption(caption!).kind, name!.split("/")[0]);
      const { width, height, format } = await sharp(await zip.entryData(name!)).metadata();
      assert.equal({ width, height, format }, { width: 64, height: 64, format: "png" });
    }
  } finally {
    await zip.close();
  }
});

test("the same request gives the same bytes", async () => {
  const [one, two] = [join(folder, "one.zip"), join(folder, "two.zip")];
  await writeSceneZip({ path: one, count: 20, seed: 5, size: 32 });
  await writeSceneZip({ path: two, count: 20, seed: 5, size: 32 });
  assert.ok((await readFile(one)).equals(await readFile(two)));
});

test("cancelling keeps what was there and leaves nothing unfinished", async () => {
  const path = join(folder, "kept.zip");
  await writeFile(path, "before");
  const stop = new AbortController();
  const work = writeSceneZip({ path, count: 500, seed: 6, signal: stop.signal, onProgress: () => stop.abort() });
  await assert.rejects(work, /abort/);
  assert.is(await readFile(path, "utf8"), "before");
  assert.equal(
    (await readdir(folder)).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("an impossible request or place is named", async () => {
  await assert.rejects(writeSceneZip({ path: join(folder, "a.zip"), count: 0, seed: 1 }), /Cannot draw 0 pictures/);
  const inFile = join(folder, "kept.zip", "a.zip");
  await assert.rejects(writeSceneZip({ path: inFile, count: 1, seed: 1 }), /Cannot write the pictures to .*kept\.zip/);
});

test.run();

import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { iterate, through } from "../../stages/flow/mod.ts";
import { take } from "rxjs";
import { openImages } from "../../stages/ingest/mod.ts";
import { displayName } from "../../schemas/visible.ts";
import { byteOrder, unsafeName } from "../../stages/ingest/names.ts";
import { picture } from "../fixtures/png.ts";
import { writeZip } from "../fixtures/zip.ts";
import { assert, suite } from "../harness.ts";
import { createPlace, type Files, limits, names, readAll } from "./fixture.ts";

const test = suite("image sources");
const place = createPlace("images");
test.after(place.remove);

const { folder, zip, top } = place;
const failure = (run: Promise<unknown>) =>
  run.then(
    () => "",
    (error: Error) => (error instanceof Failure ? error.message : `not a Failure: ${error.stack}`),
  );

const classes: Files = {
  "set/dog/b.png": picture(2),
  "set/cat/a.png": picture(1),
  "set/cat/Z.png": picture(3),
  "set/cat/é.png": picture(4),
  "set/README.md": "words",
  "__MACOSX/set/cat/._a.png": "litter",
};

test("a zip and a folder of the same files give the same samples", async () => {
  const fromZip = await readAll([zip(classes)]);
  const fromFolder = await readAll([folder(classes)]);
  const order = ["set/README.md", "set/cat/Z.png", "set/cat/a.png", "set/cat/é.png", "set/dog/b.png"];
  for (const { source, samples } of [fromZip, fromFolder]) {
    assert.equal(names(samples), order);
    assert.equal(
      samples.map(({ index }) => index),
      [0, 1, 2, 3, 4],
    );
    assert.equal(
      samples.map((s) => (s.kind === "image" ? s.label : s.reason)),
      ["not an image", 0, 0, 0, 1],
    );
    assert.equal([source.entries, source.classes, source.litter, source.captioned], [5, ["cat", "dog"], 1, 0]);
  }
  assert.equal(
    fromZip.samples.map((s) => s.kind === "image" && s.pixels),
    fromFolder.samples.map((s) => s.kind === "image" && s.pixels),
  );
});

test("reading goes on from any position", async () => {
  const paths = [zip(classes), folder({ "one.png": picture(6), "two.png": picture(7) })];
  const whole = await readAll(paths);
  for (const from of [0, 1, 4, 5, 6, 7]) {
    const { samples } = await readAll(paths, { from });
    assert.equal(samples, whole.samples.slice(from));
  }
});

test("the fingerprint tells inputs apart without reading them", async () => {
  const print = async (...paths: string[]) => (await openImages({ paths, limits })).fingerprint;
  const path = zip(classes);
  const same = await print(zip(classes));
  assert.is(await print(path), same);
  assert.match(same, /^[0-9a-f]{64}$/);
  const others = [
    { ...classes, "set/cat/a.png": picture(9) },
    { ...classes, "set/cat/new.png": picture(9) },
    { "set/cat/a.png": picture(1) },
  ];
  for (const other of others) assert.is.not(await print(zip(other)), same);
  assert.is.not(await print(path, path), same);
  assert.is(await print(folder(classes)), await print(folder(classes)));
});

test("limits and bad paths end in one sentence", async () => {
  const path = zip(classes);
  const open = (paths: string[], changed: Partial<typeof limits> = {}) => failure(openImages({ paths, limits: { ...limits, ...changed } }));
  assert.match(await open([join(top, "nowhere")]), /^Cannot read ".*nowhere": there is no such zip or folder$/);
  assert.match(await open([path], { maxEntries: 3 }), /it holds 6 entries, more than the limit of 3 \(images.maxEntries\)/);
  assert.match(await open([folder(classes)], { maxEntries: 3 }), /too many files, more than the limit of 3/);
  assert.match(await open([path], { maxTotalBytes: 100 }), /more than the limit of 100 \(images.maxTotalBytes\)/);
  assert.match(await open([folder({ "captions.csv": "" })]), /holds no files/);
  const truncated = writeZip([{ name: "a.png", data: picture(1) }]);
  truncated.writeUInt16LE(0, truncated.length - 22 + 8); // fewer entries than listed
  truncated.writeUInt16LE(0, truncated.length - 22 + 10);
  const lying = join(top, "lying.zip");
  writeFileSync(lying, truncated);
  assert.match(await open([lying]), /not as long as it says/);
});

test("links in a folder are not followed", async () => {
  const path = folder({ "a.png": picture(1) });
  symlinkSync("/etc/passwd", join(path, "link.png"));
  symlinkSync(top, join(path, "loop"));
  const { samples } = await readAll([path]);
  assert.equal(
    samples.map((s) => (s.kind === "image" ? s.name : `${s.entry}: ${s.reason}`)),
    ["a.png", "link.png: a symbolic link, which is not followed", "loop: a symbolic link, which is not followed"],
  );
});

test("stopping early closes the archive", async () => {
  const source = await openImages({ paths: [zip(classes)], limits });
  const out: string[] = [];
  for await (const file of iterate(source.images().pipe(through(take(2))))) out.push(file.source);
  assert.is(out.length, 2);
  const stopped = openImages({ paths: [zip(classes)], limits, signal: AbortSignal.abort() });
  assert.is(
    await stopped.then(
      () => "",
      (error: Error) => error.name,
    ),
    "AbortError",
  );
});

test("names are shown escaped and ordered by their bytes", () => {
  assert.is(displayName("a\u202eb\nc\u200b\\猫é😀"), "a\\u{202e}b\\u{a}c\\u{200b}\\\\猫é😀");
  assert.is(displayName("x".repeat(500)).length, 200);
  const odd = ["b", "a", "a/b", "B", "é", "😀", "\ufffd", "日本", "", "ab"];
  assert.equal(
    [...odd].sort(byteOrder),
    [...odd].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  for (const name of ["a..b/c.png", "./a.png", "~/a", "con.png", "a//b", "12:30.png", "a: b.png"])
    assert.is(unsafeName(name), undefined, name);
  for (const name of ["..", "../a", "a/..", "/a", "c:\\a", "C:/a", "a\\b", "file://x", "..\\a"]) assert.ok(unsafeName(name), name);
});

test.run();

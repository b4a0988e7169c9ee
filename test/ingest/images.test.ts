import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSample, Rejected } from "../../schemas/images.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { drain, iterate, through } from "../../stages/flow/mod.ts";
import { take } from "rxjs";
import { parseCsv } from "../../stages/ingest/csv.ts";
import { decode, openImages } from "../../stages/ingest/mod.ts";
import { displayName } from "../../schemas/visible.ts";
import { byteOrder, isLitter, unsafeName } from "../../stages/ingest/names.ts";
import { picture } from "../fixtures/png.ts";
import { writeZip } from "../fixtures/zip.ts";
import { assert, suite } from "../harness.ts";

const test = suite("image sources");
const limits = settingsSchema.parse({}).images;
const top = mkdtempSync(join(tmpdir(), "onestep-images-"));
test.after(() => rmSync(top, { recursive: true }));

type Files = Record<string, Uint8Array | string>;
let made = 0;

function folder(files: Files): string {
  const path = join(top, `folder-${made++}`);
  for (const [name, data] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), data);
  }
  return path;
}

/** A zip by fflate: a writer that is not ours. */
function zip(files: Files): string {
  const path = join(top, `zip-${made++}.zip`);
  writeFileSync(path, zipSync(Object.fromEntries(Object.entries(files).map(([name, data]) => [name, Buffer.from(data)]))));
  return path;
}

async function readAll(paths: string[], { from = 0 } = {}) {
  const source = await openImages({ paths, limits });
  const samples: (ImageSample | Rejected)[] = [];
  const flow = source.images({ wants: (position) => position >= from }).pipe(decode({ ...limits, size: 16 }));
  await drain(flow, { sink: (sample) => void samples.push(sample) });
  return { source, samples };
}

const names = (samples: (ImageSample | Rejected)[]) => samples.map((s) => (s.kind === "image" ? s.name : s.entry));
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

test("folders are classes only where they look like it", async () => {
  const label = async (...sets: Files[]) => (await readAll(sets.map(zip))).source.classes;
  assert.equal(await label({ "cat/a.png": picture(1), "dog/b.png": picture(2) }), ["cat", "dog"]);
  assert.equal(await label({ "images/a.png": picture(1), "images/b.png": picture(2) }), []);
  assert.equal(await label({ "a.png": picture(1), "dog/b.png": picture(2) }), []);
  assert.equal(await label({ "x/cat/a.png": picture(1), "dog/b.png": picture(2) }), []);
  assert.equal(
    await label({ "cat/a.png": picture(1), "dog/b.png": picture(2) }, { "p/cow/a.png": picture(3), "p/cat/c.png": picture(4) }),
    ["cat", "cow", "dog"],
  );
  assert.equal(await label({ "cat/a.png": picture(1), "dog/b.png": picture(2) }, { "c.png": picture(3) }), []);
});

test("captions: csv before jsonl before txt, relative to their own folder", async () => {
  const { source, samples } = await readAll([
    zip({
      "captions.csv": "file_name,text,more\na.png,from csv,x\nsub/c.png,nested,x\n",
      "metadata.jsonl": '{"file_name":"a.png","text":"from jsonl"}\n{"file_name":"b.png","text":"b\\u00a0 jsonl"}\n',
      "a.png": picture(1),
      "a.txt": "from txt",
      "b.png": picture(2),
      "d.png": picture(4),
      "d.txt": " from\ntxt \n",
      "lonely.txt": "nothing beside me",
      "sub/c.png": picture(3),
      "sub/e.png": picture(5),
      "sub/captions.csv": "caption,file_name\nfrom below,e.png\n",
    }),
  ]);
  const told = Object.fromEntries(samples.map((s) => (s.kind === "image" ? [s.name, s.caption] : [s.entry, s.reason])));
  assert.equal(told, {
    "a.png": "from csv",
    "b.png": "b jsonl",
    "d.png": "from txt",
    "lonely.txt": "a text file, not an image",
    "sub/c.png": "nested",
    "sub/e.png": "from below",
  });
  assert.equal([source.entries, source.captioned], [6, 5]);
  assert.equal(
    source.problems.map(({ entry, reason }) => `${entry}: ${reason}`),
    ['metadata.jsonl: row 1: "a.png" has a caption already, the first is kept'],
  );
});

test("csv follows RFC 4180", () => {
  const cases: [string, string[][]][] = [
    ["", []],
    [
      "a,b\n1,2",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    ["\ufeffa\r\n\r\n1\r\n", [["a"], ["1"]]],
    ['"a ""b""","c,\r\nd"\n', [['a "b"', "c,\r\nd"]]],
    ['a"b,\n', [['a"b', ""]]],
    ['"",x', [["", "x"]]],
    ['"open,\nend', [["open,\nend"]]],
    [",\n", [["", ""]]],
  ];
  for (const [text, rows] of cases) assert.equal(parseCsv(text), rows, JSON.stringify(text));
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
  for (const name of ["a..b/c.png", "./a.png", "~/a", "con.png", "a//b"]) assert.is(unsafeName(name), undefined, name);
  for (const name of ["..", "../a", "a/..", "/a", "c:a", "a\\b", "file://x"]) assert.ok(unsafeName(name), name);
  for (const name of [".DS_Store", "a/Thumbs.db", "__MACOSX/x", "a/._b.png"]) assert.ok(isLitter(name), name);
  for (const name of [".hidden.png", "my__MACOSX.png"]) assert.not.ok(isLitter(name), name);
});

test.run();

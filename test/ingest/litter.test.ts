import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isLitter } from "../../stages/ingest/litter.ts";
import { picture } from "../fixtures/png.ts";
import { writeZip } from "../fixtures/zip.ts";
import { assert, suite } from "../harness.ts";
import { captionsOf, createPlace, type Files, labelsOf, names, readAll, reasonsOf } from "./fixture.ts";

const test = suite("litter and names");
const { zip, folder, remove, top } = createPlace("litter");
test.after(remove);

const classes: Files = { "cat/a.png": picture(1), "cat/b.png": picture(2), "dog/c.png": picture(3) };
const litter = [
  ...[".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg", "#recycle/a.png", "__MACOSX/._a.png", "._a.png"],
  ...[".thumbnails/a.png", "Thumbs.db", ".DS_Store", "$RECYCLE.BIN/S-1/a.png", "System Volume Information/x", ".git/HEAD", ".svn/entries"],
  ...["__pycache__/a.pyc", ".AppleDouble/a.png", ".Trashes/501/a.png", ".Trash-1000/files/a.png", ".Spotlight-V100/x", ".fseventsd/x"],
  ...["desktop.ini", ".cache/huggingface/download/a.png.metadata", ".dvc/config", "lost+found/a.png", "a.png:Zone.Identifier"],
  ...["DESKTOP.INI", ".@__thumb/a.png", ".gitattributes", ".nfs000000000123abcd", "~$table.xlsx", ".picasaoriginals/a.png"],
];

test("litter is counted and is neither class nor image, beside class folders and in them", async () => {
  for (const place of ["", "cat/", "deep/er/"]) {
    for (const make of [zip, folder]) {
      const all = await readAll([make({ ...classes, ...Object.fromEntries(litter.map((name) => [place + name, picture(9)])) })]);
      assert.equal(labelsOf(all), { "cat/a.png": "cat", "cat/b.png": "cat", "dog/c.png": "dog" });
      assert.equal([all.source.entries, all.source.litter], [3, litter.length], place);
      assert.equal(reasonsOf(all), [`aside: litter of systems and tools: ${litter.length}`]);
      assert.equal(all.source.problems, []);
    }
  }
});

test("what only looks like litter is none", () => {
  for (const name of litter) assert.ok(isLitter(name), name);
  for (const name of [".hidden.png", "my__MACOSX.png", "git/a.png", "cache/a.png", "recycle/a.png", "Thumbs.db.png", "_.png"])
    assert.not.ok(isLitter(name), name);
});

const zipOf = (...names: string[]) => {
  const path = join(top, "names.zip");
  writeFileSync(path, writeZip(names.map((name, i) => ({ name, data: name.endsWith("\\") ? Buffer.alloc(0) : picture(i) }))));
  return path;
};
const refused = ({ samples }: Awaited<ReturnType<typeof readAll>>) =>
  samples.flatMap((s) => (s.kind === "rejected" ? [`${s.entry}: ${s.reason}`] : []));

test("a zip of Windows is read as with slashes", async () => {
  const all = await readAll([zipOf("set\\", "set\\cat\\", "set\\cat\\a.png", "set\\cat\\b.png", "set\\dog\\c.png", "flat.png")]);
  assert.equal([all.source.entries, refused(all)], [4, []]);
  assert.equal(names(all.samples), ["flat.png", "set/cat/a.png", "set/cat/b.png", "set/dog/c.png"]);
  const captioned = await readAll([zip({ "set\\a.png": picture(1), "set\\captions.csv": "file_name,text\na.png,read\n" })]);
  assert.equal(captionsOf(captioned.samples), { "set/a.png": "read" });
});

test("names that climb out, and backslashes among slashes, cost their entries and say what to do", async () => {
  const climbing = await readAll([zipOf("set\\a.png", "set\\..\\..\\b.png", "C:\\c.png", "\\\\host\\d.png")]);
  assert.equal(names(climbing.samples.filter(({ kind }) => kind === "image")), ["set/a.png"]);
  assert.is(refused(climbing).length, 3);
  const mixed = await readAll([zipOf("set/a.png", "set\\b.png", "../c.png", "..\\d.png")]);
  assert.equal(names(mixed.samples.filter(({ kind }) => kind === "image")), ["set/a.png"]);
  for (const line of [...refused(climbing), ...refused(mixed)]) {
    assert.match(line, /: unsafe name: it .*; pack the folder again with another program$/);
  }
  assert.match(refused(mixed).join(), /set\\\\b\.png: unsafe name: it holds a backslash where other names have slashes/);
});

test("a colon is part of a name; a drive and a scheme are not", async () => {
  const fine = ["12:30.png", "a: b.png", "x/12:30:59.png", "http:.png"];
  const all = await readAll([zipOf(...fine, "C:/a.png", "d:\\b.png", "file:///c.png", "s3://bucket/d.png")]);
  assert.equal(names(all.samples.filter(({ kind }) => kind === "image")), [...fine].sort());
  assert.is(refused(all).length, 4);
  const files = await readAll([folder(Object.fromEntries(fine.map((name, i) => [name, picture(i)])))]);
  assert.equal(names(files.samples), [...fine].sort());
});

test.run();

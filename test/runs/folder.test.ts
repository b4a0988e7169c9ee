/** What a folder is for is told from what stands in it, and a command that is refused leaves it as it was. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type FolderKind, inFolder, markFolder, readMark } from "../../stages/runs/folder.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "../train/fixture.ts";

const test = suite("folders");
const top = mkdtempSync(join(tmpdir(), "onestep-folders-"));
test.after(() => rmSync(top, { recursive: true, force: true }));
let count = 0;
const { context } = recordingContext();

/** A folder of these files, each with its text. */
function folderOf(files: Record<string, string>): string {
  const folder = join(top, String(count++));
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Every file and folder below, files with their text. */
function contentsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    names.map((name) => [name, statSync(join(folder, name)).isFile() ? readFileSync(join(folder, name), "latin1") : "/"]),
  );
}

/** Whether a command of this kind is let into a folder, and if not why. */
async function entry(folder: string, kind: FolderKind, parts?: string[]): Promise<string> {
  const before = existsSync(folder) && statSync(folder).isDirectory() ? contentsOf(folder) : undefined;
  const said = await inFolder({ folder, kind, command: "train", context, ...(parts && { parts }) }, async () => "in").catch(
    (error: Error) => error.message,
  );
  if (before) assert.equal(contentsOf(folder), before, `${kind}: nothing is changed, whether let in or not`);
  return said;
}

const json = (value: unknown): string => JSON.stringify(value);
const checkpoint = "checkpoint-00000004-0123456789abcdef.safetensors";
const kinds: [files: Record<string, string>, words: string, letIn: FolderKind[]][] = [
  [{ "store.json": json({ kind: "latents" }), "codec.json": "{}", "settings.yaml": "" }, "a latent store", ["latents", "store"]],
  [{ "store.json": json({ kind: "triples" }) }, "a triple store", ["triples", "store"]],
  [{ "store.json": "{ damaged", "shards/000000.parquet": "" }, "a store", ["latents", "triples", "store"]],
  [{ "shards/000000.parquet": "" }, "a store", ["latents", "triples", "store"]],
  [{ "model.json": json({ role: "teacher" }), "weights.safetensors": "", "codec.json": "{}" }, "a teacher", ["teacher"]],
  [{ "model.json": json({ role: "student" }) }, "a student", ["student"]],
  [{ "model.json": json({ role: "perceptual" }) }, "a perceptual network", ["perceptual"]],
  [{ "model.json": "torn", "weights.safetensors": "" }, "a network", []],
  [{ [checkpoint]: "", "metrics.jsonl": "" }, "a training", ["teacher", "student", "autoencoder", "perceptual"]],
  [{ "codec.json": "{}", "codec.safetensors": "" }, "a network", []],
  [{ "run.json": json({ format: "onestep-run", kind: "autoencoder" }), [checkpoint]: "" }, "an autoencoder", ["autoencoder"]],
  [{ "run.json": json({ format: "onestep-run", kind: "job" }), "latents/store.json": json({ kind: "latents" }) }, "a whole job", ["job"]],
  [{ "results.jsonl": "", "study.md": "" }, "a study", ["study"]],
  [{ "export.json": "{}", "latent.npy": "" }, "an export", ["export"]],
];
const all: FolderKind[] = ["latents", "triples", "store", "teacher", "student", "autoencoder", "perceptual", "job", "study", "export"];

for (const [files, words, letIn] of kinds) {
  test(`${words} of ${Object.keys(files).join(", ")}`, async () => {
    const folder = folderOf(files);
    for (const kind of all) {
      const said = await entry(folder, kind);
      if (letIn.includes(kind)) assert.is(said, "in", `${kind}: ${said}`);
      else assert.match(said, new RegExp(`^Cannot train into .*: it holds ${words}.*\\. Name another folder, or an empty one\\.$`), kind);
    }
  });
}

test("what is both one thing and another is for neither", async () => {
  const folder = folderOf({ "store.json": json({ kind: "triples" }), "model.json": json({ role: "student" }) });
  assert.match(await entry(folder, "triples"), /it holds a student/);
  assert.match(await entry(folder, "student"), /it holds a triple store/);
});

test("people's own files are left alone", async () => {
  for (const files of [
    { "a.png": "" },
    { "a.png": "", "a.txt": "a caption" },
    { "settings.yaml": "seed: 1 # my own" },
    { "study.md": "my own" },
    { "Documents/letter.odt": "", ".bashrc": "" },
    { "run.json": json({ kind: "student" }) },
    { "model.txt": "", "index.html": "" },
  ] as Record<string, string>[]) {
    for (const kind of all) assert.match(await entry(folderOf(files), kind), /it holds files that onestep did not make \(/, kind);
  }
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}.png`, ""]));
  assert.match(await entry(folderOf(many), "latents"), /\(0\.png, 1\.png, 10\.png and 197 more\)/);
});

test("an empty folder, one with notes and logs, and none at all are for anything", async () => {
  for (const kind of all) {
    for (const files of [{}, { "README.md": "", "log.txt": "", "slurm-12.out": "", ".gitignore": "", ".DS_Store": "" }] as Record<
      string,
      string
    >[])
      assert.is(await entry(folderOf(files), kind), "in");
    assert.is(await entry(join(top, "absent", kind, "deep"), kind), "in");
    assert.not(existsSync(join(top, "absent")), "what nothing came of is removed again");
  }
});

test("a file in the way is named, whether it is the folder or above it", async () => {
  const file = join(folderOf({ x: "text" }), "x");
  for (const path of [file, join(file, "run")]) assert.match(await entry(path, "student"), /^Cannot train into .*x.*: a file stands there/);
  assert.is(readFileSync(file, "utf8"), "text");
});

test("an unfinished run is known by its parts", async () => {
  const folder = folderOf({ "latents/store.json": json({ kind: "latents" }) });
  assert.is(await entry(folder, "job", ["latents", "student"]), "in");
  assert.match(await entry(folder, "student", ["reflow"]), /did not make \(latents\)/);
  assert.match(await entry(folderOf({ "latents/a.png": "" }), "job", ["latents"]), /did not make/);
});

test("what is written stays, and a failure gives the folder back", async () => {
  const folder = join(top, "written");
  const failing = inFolder({ folder, kind: "student", command: "train", context }, async () => {
    await markFolder(folder, { kind: "student", identity: { seed: 1 } });
    throw new Error("disk");
  });
  await assert.rejects(failing, /disk/);
  assert.equal(readdirSync(folder), ["run.json"]);
  assert.equal((await readMark(folder))?.identity, { seed: 1 });
  const copy = join(top, "copy");
  cpSync(folder, copy, { recursive: true });
  assert.match(await entry(copy, "teacher"), /it holds a student/);
  assert.is(await entry(copy, "student"), "in");
});

test("a folder is held while the work goes on", async () => {
  const folder = join(top, "held");
  await inFolder({ folder, kind: "job", command: "run", context }, async () => {
    await assert.rejects(
      inFolder({ folder, kind: "job", command: "run", context }, async () => {}),
      /^Cannot run in .*held: run is at work there \(process \d+/,
    );
    // Its parts are their own.
    await inFolder({ folder: join(folder, "student"), kind: "student", command: "train", context }, async () => {});
  });
});

test.run();

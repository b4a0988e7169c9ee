import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { iterate } from "../../stages/flow/mod.ts";
import { openImages } from "../../stages/ingest/mod.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { createPlace, type Files, limits, names, readAll, reasonsOf } from "./fixture.ts";

const test = suite("folders of images");
const { folder, remove } = createPlace("folders");
test.after(remove);

const ab: Files = { "cat/a.png": picture(1), "dog/b.png": picture(2) };

test("where results go is no part of the folder of images, before and after they are there", async () => {
  const path = folder(ab);
  const out = join(path, "results", "latents");
  const before = await readAll([path], { except: [out, join(path, "results")] });
  mkdirSync(out, { recursive: true });
  writeFileSync(join(path, "results", "samples.png"), picture(3));
  writeFileSync(join(out, "half-written.png"), picture(4));
  const after = await readAll([path], { except: [out, join(path, "results")] });
  assert.equal([after.source.fingerprint, names(after.samples)], [before.source.fingerprint, ["cat/a.png", "dog/b.png"]]);
  assert.equal([after.source.classes, after.source.leftOut], [["cat", "dog"], []]);
  const other = await readAll([path], { except: [join(path, "res")] });
  assert.is(other.source.entries, 4, "a name that only begins alike is another");
});

test("results into the very folder of the images are refused", async () => {
  const path = folder(ab);
  for (const except of [path, join(path, "cat", "..")]) {
    await assert.rejects(
      openImages({ paths: [path], limits, except: [except] }),
      /^Cannot write into ".*": it is the folder of the images/,
    );
  }
});

test("stores and runs that lie in a folder of images are passed over", async () => {
  const ours: Files = {
    "latents/store.json": "{}",
    "latents/shards/000000.parquet": "PAR1",
    "old/teacher/model.json": "{}",
    "old/teacher/weights.safetensors": "",
    "old/teacher/pictures/000100.png": picture(5),
    "run/settings.yaml": "",
    "run/metrics.jsonl": "",
    "autoencoder/codec.json": "{}",
    "autoencoder/codec.safetensors": "",
  };
  const all = await readAll([folder({ ...ab, ...ours })]);
  assert.equal(names(all.samples), ["cat/a.png", "dog/b.png"]);
  assert.equal(reasonsOf(all), ["aside: a store or run of onestep: 4"]);
  assert.is((await readAll([folder({ ...ab, "photo shop/model.json": "{}" })])).source.entries, 3);
});

test("a name that is not UTF-8 costs that file alone", async () => {
  if (process.platform !== "linux") return; // other systems have no such names
  const path = folder(ab);
  for (const name of ["caf\xe9.png", "gr\xfcn/c.png", "gr\xfcn/sub/d.png"]) {
    const bytes = Buffer.concat([Buffer.from(`${path}/cat/`), Buffer.from(name, "latin1")]);
    mkdirSync(bytes.subarray(0, bytes.lastIndexOf("/")), { recursive: true });
    writeFileSync(bytes, picture(7));
  }
  const { samples } = await readAll([path]);
  assert.equal(names(samples), ["cat/a.png", "cat/caf<e9>.png", "cat/gr<fc>n/c.png", "cat/gr<fc>n/sub/d.png", "dog/b.png"]);
  assert.equal(samples.map((s) => (s.kind === "image" ? "" : s.reason)).filter(Boolean), Array(3).fill("its name is not UTF-8: rename it"));
});

/** What a process without the rights of root says of a folder. */
function asNobody(path: string): { entries: number; problems: string[] } | string {
  const script = `
    import { openImages } from ${JSON.stringify(new URL("../../stages/ingest/mod.ts", import.meta.url))};
    const options = ${JSON.stringify({ paths: [path], limits })};
    const source = await openImages(options).catch((error) => error.message);
    console.log(JSON.stringify(source.entries === undefined ? source : { entries: source.entries, problems: source.problems }));
  `;
  const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const { stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, "--input-type=module", "-e", script], {
    ...user,
    encoding: "utf8",
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...process.env, TMPDIR: "/tmp" },
  });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as { entries: number; problems: string[] } | string;
}

test("a folder that may not be read costs itself, with a word", () => {
  if (process.platform === "win32") return;
  const path = folder({ ...ab, "closed/c.png": picture(3), "dog/closed/d.png": picture(4) });
  chmodSync(join(path, ".."), 0o755);
  for (const name of ["closed", "dog/closed"]) chmodSync(join(path, name), 0);
  const found = asNobody(path);
  for (const name of ["closed", "dog/closed"]) chmodSync(join(path, name), 0o755);
  const reason = "a folder that may not be read, with all that is in it";
  const source = path.slice(path.lastIndexOf("/") + 1);
  assert.equal(found, { entries: 2, problems: ["closed/", "dog/closed/"].map((entry) => ({ source, entry, reason })) });
  chmodSync(path, 0);
  const closed = asNobody(path);
  chmodSync(path, 0o755);
  assert.is(closed, `Cannot read "${path}": permission is denied. Make the folder readable.`);
});

test("a reason holds no path of the machine", async () => {
  const path = folder(ab);
  const source = await openImages({ paths: [path], limits });
  writeFileSync(join(path, "cat/a.png"), "longer or shorter");
  rmSync(join(path, "dog/b.png"));
  const reasons: string[] = [];
  for await (const item of iterate(source.images())) if (item.kind === "rejected") reasons.push(item.reason);
  assert.equal(reasons, ["the file changed since it was listed", "it cannot be read (ENOENT)"]);
});

test.run();

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { doctor } from "../../pipelines/doctor.ts";
import { inspect } from "../../pipelines/inspect.ts";
import { fileLayer, presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { writeSettings } from "../../stages/runs/settings-file.ts";
import { commandLine } from "../fixtures/command-line.ts";
import { presetNames } from "../../recipes/recipe.ts";
import { projectedBytes } from "../../stages/doctor/projection.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { writeShard } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { writeCodec } from "../../stages/runs/model.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";
import { listening } from "../inspect/fixture.ts";

const test = suite("inspect and doctor");
const tiny = resolveSettings([presetLayer("smoke")]);
const shape: [number, number, number] = [4, 4, 3];
const common = { shape, dtype: "float32" as const, rowsPerShard: 2, engine: { device: "cpu", version: "0" } };
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-look-"));
});
test.after(() => rm(folder, { recursive: true }));

/** Three 4 px images as a pixel-space store: black, middle grey, white. */
async function latentStore(path: string, shards = [0, 1]) {
  const store = await createLatentStore({
    folder: path,
    manifest: {
      ...common,
      entries: 3,
      classes: ["cat", "dog"],
      imageSize: 4,
      encoder: { kind: "pixel", hash: "pixel" },
      source: { fingerprint: "f" },
    },
  });
  await writeCodec(path, { description: { kind: "pixel", imageSize: 4, shape, hash: "pixel" }, weights: {} });
  const rows = [-1, 0, 1].map((level, index) => ({
    index,
    name: `${index}.png`,
    label: index === 2 ? 1 : 0,
    caption: index === 2 ? "a white dog" : null,
    latent: new Float32Array(48).fill(level),
  }));
  if (shards.includes(0)) await writeShard(store, { shard: 0, rows: rows.slice(0, 2) });
  if (shards.includes(1)) await writeShard(store, { shard: 1, rows: rows.slice(2) });
  return store;
}

test("tells what a store of latents holds, prints rows, and draws them as they were", async () => {
  const path = join(folder, "latents");
  await sealStore(await latentStore(path));
  const { results, tables, others, context } = listening();
  const grid = join(folder, "grid.png");
  await inspect({ path, rows: 3, grid, limit: 2, settings: tiny, context });
  const facts = results[path]!;
  assert.is(facts.finished, "yes");
  assert.is(facts.rows, "3 of 3 planned");
  assert.is(facts.shards, "2 of 2, 2 rows each");
  assert.is(facts.latent, "4 x 4 x 3 float32");
  assert.is(facts.conditions, "2 classes, rows from dog 1 to cat 2; 1 captions, 1 distinct");
  assert.equal(tables.channels![2], { channel: "latent 2", mean: "0.000", std: "0.816", min: "-1.000", max: "1.000" }); // sqrt(2/3)
  const rows = others.flatMap((event) => (event.type === "note" ? event.message.trim().split("\n") : []));
  assert.equal(rows, [
    "image 0  0.png  cat  mean -1.000  std 0.000",
    "image 1  1.png  cat  mean 0.000  std 0.000",
    "image 2  2.png  a white dog  mean 1.000  std 0.000",
  ]);
  assert.equal(results.grid, { pictures: 2, path: grid });
  const { data, info } = await sharp(grid).raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3)];
  assert.equal(
    [at(3, 3), at(13, 3)],
    [
      [0, 0, 0],
      [128, 128, 128],
    ],
  ); // two 4 px pictures, twice enlarged, 2 px apart
});

test("tells what is missing from an unfinished store", async () => {
  const path = join(folder, "unfinished");
  await latentStore(path, [1]);
  const { results, tables, context } = listening();
  await inspect({ path, quick: true, settings: tiny, context });
  assert.match(String(results[path]!.finished), /^no: repeat the command/);
  assert.is(results[path]!.rows, "1 of 3 planned");
  assert.is(results[path]!.shards, "1 of 2, 2 rows each");
  assert.is(tables.channels![0]!.mean, "1.000");
  assert.is(tables.outliers, undefined);
});

test("tells from which image, teacher, solver and seed a triple came", async () => {
  const path = join(folder, "triples");
  const store = await createTripleStore({
    folder: path,
    manifest: {
      ...common,
      entries: 2,
      classes: [],
      seed: "18446744073709551615",
      noise: "derived",
      teacher: { hash: "abc" },
      solver: { name: "heun", steps: 18 },
      diffusion: tiny.diffusion,
      guidance: 1.5,
      conditions: { source: "latents f" },
    },
  });
  const row = (id: number) => ({
    id,
    seed: 18446744073709551615n,
    imageIndex: 7,
    latent: new Float32Array(48).fill(id),
  });
  await writeShard(store, { shard: 0, rows: [row(0), row(1)] });
  const { results, others, context } = listening();
  await inspect({ path, rows: 1, settings: tiny, context });
  const { teacher, solver, seed, "conditions from": source, conditions } = results[path]!;
  assert.equal([teacher, solver, source, conditions], ["abc", "heun, 18 steps, guidance 1.5", "latents f", "none"]);
  assert.is(seed, "18446744073709551615");
  assert.equal(others, [{ type: "note", stage: "rows", message: "triple 0  seed 18446744073709551615  image 7  mean 0.000  std 0.000\n" }]);
});

test("draws a triple as the teacher's normalisation, undone, shows it", async () => {
  const path = join(folder, "scaled");
  const channels = { mean: [0, 0.2, -0.2], std: [0.25, 0.25, 0.25], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };
  const store = await createTripleStore({
    folder: path,
    manifest: {
      ...common,
      entries: 1,
      classes: ["cat"],
      seed: "1",
      noise: "derived",
      teacher: { hash: "abc", statistics: channels },
      solver: { name: "heun", steps: 18 },
      diffusion: { ...tiny.diffusion, sigmaData: 0.5 },
      guidance: 1,
      conditions: { source: "classes" },
    },
  });
  await writeCodec(path, { description: { kind: "pixel", imageSize: 4, shape, hash: "pixel" }, weights: {} });
  await writeShard(store, { shard: 0, rows: [{ id: 0, seed: 1, label: 0, latent: new Float32Array(48).fill(1) }] });
  const grid = join(folder, "scaled.png");
  await inspect({ path, grid, settings: tiny, context: listening().context });
  const { data, info } = await sharp(grid).raw().toBuffer({ resolveWithObject: true });
  const at = (3 * info.width + 13) * info.channels; // right of the noise, twice enlarged, and the line
  assert.equal([...data.subarray(at, at + 3)], [191, 217, 166]); // (1 * 0.25 / 0.5 + mean + 1) * 127.5
});

test("tells how far a run came", async () => {
  const path = join(folder, "run");
  await writeSettings(path, tiny, {});
  await assert.rejects(inspect({ path, settings: tiny, context: listening().context }), /neither a store nor a run/);
  await assert.rejects(inspect({ path: folder, settings: tiny, context: listening().context }), /It holds latents, triples: name one/);
  await writeFile(join(path, "metrics.jsonl"), '{"step":10,"loss":0.5}\n{"step":20,"loss":0.25}\n');
  await writeFile(join(path, "checkpoint-00000020-0123456789abcdef.safetensors"), "");
  const { results, context } = listening();
  await inspect({ path, settings: tiny, context });
  assert.equal(results[path], {
    checkpoint: "step 20",
    metrics: "step 20  loss 0.25",
    settings: join(path, "settings.yaml"),
  });
  await assert.rejects(inspect({ path, rows: 1, settings: tiny, context }), /it is a run/);

  const { code, said } = await commandLine(["inspect", path]);
  assert.is(code, 0, said);
  assert.match(said, /checkpoint +step 20/);
});

test("doctor tries the devices and projects the disk, and says why when it cannot", async () => {
  const { results, context } = listening();
  await doctor({ settings: tiny, context });
  assert.is(results.versions!.node, process.versions.node);
  assert.match(String(results.versions!["onnx runtime"]), /^\d+\.\d+\.\d+/);
  assert.match(String(results.devices!.cpu), /^ready, \d+ cores$/);
  assert.match(String(results.devices!.webgpu), /^(ready|\S.*)$/);
  assert.is(results.simulation!.latent, "16 x 16 x 3 float32");
  assert.match(String(results.simulation!.time), /^unknown/);
  const { others, results: photos, context: second } = listening();
  await doctor({ settings: resolveSettings([presetLayer("small")]), context: second });
  assert.is(photos.simulation, undefined);
  assert.match((others[0] as { message: string }).message, /^no projection: .*encoder.path/);
});

test("projects the bytes that a store then takes, within a tenth", async () => {
  const path = join(folder, "big");
  const big: [number, number, number] = [16, 16, 4];
  const store = await createTripleStore({
    folder: path,
    manifest: {
      ...common,
      shape: big,
      entries: 64,
      rowsPerShard: 64,
      classes: [],
      seed: "1",
      noise: "stored",
      teacher: { hash: "abc" },
      solver: { name: "heun", steps: 18 },
      diffusion: tiny.diffusion,
      guidance: 1,
      conditions: { source: "none" },
    },
  });
  const rows = Array.from({ length: 64 }, (_, id) => ({
    id,
    seed: 1,
    latent: new Float32Array(1024),
    noise: new Float32Array(1024),
    caption: "a red fox in the snow at dusk",
  }));
  await writeShard(store, { shard: 0, rows });
  const { bytes } = await sealStore(store);
  const projected = projectedBytes({ count: 64, noise: "stored", dtype: "float32" }, big);
  assert.ok(Math.abs(projected / bytes - 1) < 0.1, `${projected} projected, ${bytes} written`);
});

test("every preset is valid, and settings written are settings read", async () => {
  for (const name of presetNames()) resolveSettings([presetLayer(name)]);
  const path = await writeSettings(join(folder, "settings"), tiny, {});
  assert.equal(resolveSettings([await fileLayer(path)]), tiny);
  const text = await readFile(path, "utf8");
  await writeSettings(join(folder, "settings"), resolveSettings([await fileLayer(path)]), {});
  assert.is(await readFile(path, "utf8"), text);
});

test.run();

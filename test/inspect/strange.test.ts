/** Folders as kills, full disks and other programs leave them: what is sound is told, what is not is named, and the end is 1. */
import { cp, mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect, type Looks } from "../../pipelines/inspect.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { Failure, isFailure } from "../../schemas/failure.ts";
import { shardPath } from "../../store/shards/store.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder, listening, triples } from "./fixture.ts";

const test = suite("strange folders");
const settings = resolveSettings([presetLayer("smoke")]);

async function look(path: string, looks: Looks = {}) {
  const { context, ...heard } = listening();
  const failure = await inspect({ path, ...looks, settings, context }).then(() => undefined, passed);
  return { ...heard, failure, notes: heard.others.map((event) => ("message" in event ? event.message : "")).join("\n") };
}

/** The failure that a user is told; anything else is a mistake. */
function passed(error: unknown): Failure {
  if (!isFailure(error)) throw error;
  return error;
}

/** A folder of such files. */
async function folderOf(files: Record<string, string>): Promise<string> {
  const folder = freshFolder();
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

test("a damaged shard is named, the rows of the others are shown, and the command fails", async () => {
  const store = await triples();
  const bytes = await readFile(shardPath(store, 1));
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(shardPath(store, 1), bytes);
  await truncate(shardPath(store, 3), 100);
  const { notes, results, failure } = await look(store.folder, { rows: 100, grid: join(freshFolder(), "grid.png"), limit: 100 });
  const ids = [...notes.matchAll(/^triple (\d+) /gm)].map(([, id]) => Number(id));
  assert.equal(ids, [...range(0, 8), ...range(16, 24), ...range(32, 40)]);
  assert.is(results.grid!.pictures, 24);
  assert.instance(failure, Failure);
  assert.is(failure!.exitCode, 1);
  assert.match(failure!.message, /^Cannot show all of .*: 2 shards, the first is 1, of 5 is damaged: its sha256 is not .*--repair\.$/);
  const html = join(freshFolder(), "report.html");
  const report = await look(store.folder, { html });
  assert.is(report.results.report!.pictures, 24);
  assert.match(report.failure!.message, /the first is 1/);
  assert.match((await look(store.folder, { quick: true })).failure!.message, /shard 3 of 5 is damaged: /);
});

test("a store that still grows, or holds no row yet, is no failure", async () => {
  const growing = await triples({ seal: false });
  await rm(shardPath(growing, 4));
  const { results, failure, notes } = await look(growing.folder, { rows: 100 });
  assert.is(failure, undefined);
  assert.match(String(Object.values(results)[0]!.finished), /^no: repeat/);
  assert.is(notes.match(/^triple /gm)!.length, 32);
  for (const shard of [0, 1, 2, 3]) await rm(shardPath(growing, shard));
  const empty = await look(growing.folder, { rows: 3 });
  assert.is(empty.failure, undefined);
  assert.match(empty.notes, /no row is there yet/);
});

test("a description that fits no teacher is told by its key", async () => {
  const forged = (change: object) => triples({ entries: 8, manifest: change as never });
  const grid = join(freshFolder(), "grid.png");
  for (const statistics of [{ mean: [1], std: [1] }, { mean: [1, 2, "x"], std: [1, 2, 3] }, "<b>", 7]) {
    const store = await forged({ teacher: { hash: "t", statistics } });
    assert.match(
      (await look(store.folder, { grid })).failure!.message,
      /^Cannot draw rows of .*: teacher\.statistics in its store\.json is not a mean and std for each of 3/,
    );
    assert.match((await look(store.folder, { rows: 2 })).notes, /^triple 1 /m);
  }
  for (const [change, key] of [
    [{ engine: { device: "cpu", version: "v", batch: "x" } }, 'engine\\.batch "x"'],
    [{ engine: { device: "cpu", version: "v", batch: 0 } }, "engine\\.batch 0"],
    [{ engine: { device: "cpu", version: "v", batch: 1.5 } }, "engine\\.batch 1\\.5"],
    [{ solver: { name: "constructor", steps: 4 } }, 'solver {"name":"constructor"'],
  ] as const) {
    const { folder } = await forged(change);
    const message = new RegExp(`^Cannot redo a row of .*: its store\\.json says ${key}`);
    assert.match((await look(folder, { redo: 1 })).failure!.message, message);
    assert.is((await look(folder, { why: 1 })).failure, undefined);
  }
});

test("a description that is nested without end is damaged", async () => {
  const { folder } = await triples({ entries: 8 });
  const path = join(folder, "store.json");
  const text = await readFile(path, "utf8");
  for (const [left, right] of [
    ["[", "]"],
    ['{"a":', "}"],
  ] as const) {
    const nested = `${left.repeat(100_000)}1${right.repeat(100_000)}`;
    await writeFile(path, text.replace('"teacher": {', `"teacher": { "x": ${nested},`));
    assert.match((await look(folder)).failure!.message, /^Cannot open the store .*: store\.json is damaged/);
  }
});

test("rows are printed as they come, however many", async () => {
  const { notes, others } = await look((await triples({ entries: 600 })).folder, { rows: 555 });
  assert.equal(
    [...notes.matchAll(/^triple (\d+) /gm)].map(([, id]) => Number(id)),
    range(0, 555),
  );
  assert.ok(others.length > 2);
  const { failure } = await look((await triples()).folder, { grid: "grid.png", limit: 1e9 });
  assert.match(failure!.message, /^Cannot draw 1000000000 rows on one sheet/);
});

test("the last whole line of the metrics is told, whatever follows it", async () => {
  const cases: [string, string | undefined][] = [
    ['{"step":1,"loss":0.5}\n{"step":2,"loss":0.25}\n', "step 2  loss 0.25"],
    ['{"step":1,"loss":0.5}\n{"step":2,"lo', "step 1  loss 0.5"],
    ['{"step":1,"loss":0.5}\n{"step":2}\n\u0000\u0000\u0000', "step 2"],
    ['{"step":1}\n[]\nnull\n7\n{}\n', "step 1"],
    ['{"step":3,"loss":1e400,"norm":null,"name":"a\\u001b"}\n', 'step 3  loss Infinity  norm null  name "a\\u001b"'],
    [`${'{"step":1,"loss":0.5}\n'.repeat(50_000)}{"step":50001}\n`, "step 50001"],
    ["", undefined],
    ["not one line of JSON\n", undefined],
  ];
  for (const [text, expected] of cases) {
    const path = await folderOf({ "metrics.jsonl": text, "checkpoint-00000007-0123456789abcdef.safetensors": "" });
    const { results, failure } = await look(path);
    assert.equal([results[path]!.metrics, results[path]!.checkpoint, failure], [expected, "step 7", undefined]);
  }
});

test("each damaged file of a run is named, and the others are told of", async () => {
  const codec = JSON.stringify({ kind: "pixel", imageSize: 16, shape: [16, 16, 3], hash: "pixel" });
  const network = { kind: "dit", width: 16, depth: 2, condition: "class" };
  const model = JSON.stringify({ role: "teacher", hash: "h", spec: { shape: [16, 16, 3], network } });
  const cases: [Record<string, string>, RegExp, Record<string, string>][] = [
    [
      { "model.json": '{"role":"tea', "codec.json": codec },
      /^Cannot read .*model\.json: it is no JSON that describes one\. /,
      { codec: "pixel, 16 px to 16 x 16 x 3" },
    ],
    [{ "model.json": "[1, 2]" }, /^Cannot read .*model\.json: /, {}],
    [{ "model.json": '{"role":"critic"}' }, /^Cannot read .*model\.json: role: /, {}],
    [{ "model.json": model }, /^Cannot load weights from .*weights\.safetensors: there is no such file/, { role: "teacher" }],
    [{ "model.json": model, "weights.safetensors": "torn" }, /^Cannot load weights from .*weights\.safetensors: /, { role: "teacher" }],
    [
      { "model.json": model.replace('"dit"', "{}"), "weights.safetensors": "" },
      /^Cannot read .*model\.json: spec\.network\.kind: .*\. Cannot load/,
      {},
    ],
    [{ "codec.json": "null", "metrics.jsonl": '{"step":1}\n' }, /^Cannot read .*codec\.json: /, { metrics: "step 1" }],
  ];
  for (const [files, message, told] of cases) {
    const path = await folderOf(files);
    const { failure, results } = await look(path);
    assert.match(failure!.message, message);
    for (const [name, value] of Object.entries(told)) assert.is(results[path]![name], value);
  }
});

test("what is neither a store nor a run is told by what it is", async () => {
  const file = join(await folderOf({ "a.txt": "hi" }), "a.txt");
  const cases: [string, RegExp][] = [
    [file, /it is no folder/],
    [join(file, ".."), /it is neither a store nor a run/],
    [join(file, "..", "nothing"), /there is no such folder/],
    [await folderOf({}), /it is neither a store nor a run/],
  ];
  for (const [path, message] of cases) {
    const { failure } = await look(path);
    assert.match(failure!.message, message);
    assert.is(failure!.exitCode, 2);
  }
  const parts = await folderOf({});
  await cp((await triples()).folder, join(parts, "triples"), { recursive: true });
  assert.match((await look(parts)).failure!.message, /It holds triples: name one of these, as in .*triples\.$/);
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

test.run();

import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { parquetReadObjects } from "hyparquet";
import { decodeSafetensors } from "../../models/weights/safetensors.ts";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import { exportPath, exportStore } from "../../pipelines/export.ts";
import type { Failure } from "../../schemas/failure.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { memoryBuffer } from "../../store/places/buffers.ts";
import type { Store } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf } from "../store/fixture.ts";
import { freshFolder, healthyRow, images, length, listening, triples } from "../inspect/fixture.ts";
import { pythonHas, runPython, withoutPython } from "./python.ts";

const test = suite("export");
const formats = ["arrow", "npy", "safetensors", "webdataset", "parquet-list"];
const seed = 18446744073709551557n;
const duckdb = await import("@duckdb/node-api").catch(() => undefined);

/**
 * Twenty triples in shards of 8 with half-precision latents, a class or caption missing here and there, row 9 rejected
 * and a whole shard too.
 */
async function source(): Promise<Store> {
  return triples({
    entries: 28,
    manifest: { dtype: "float16", seed: String(seed) },
    change: (row) =>
      row.id === 9 || row.id >= 24
        ? "torn"
        : { ...row, seed, label: row.id % 4 === 3 ? null : row.label, caption: row.id % 6 === 5 ? null : row.caption },
  });
}

const ids = Array.from({ length: 24 }, (_, id) => id).filter((id) => id !== 9);
const expected = ids.map((id) => {
  const { label, caption, latent } = healthyRow(id);
  return {
    id,
    label: id % 4 === 3 ? null : label!,
    caption: id % 6 === 5 ? null : caption!,
    latent: fromHalf(toHalf(latent)),
    noise: noiseOf({ seed, id }, length),
  };
});
const sums = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0);

async function exported(store: Store, format: string): Promise<string> {
  const out = freshFolder();
  await exportStore({ path: store.folder, format, out, context: listening().context });
  return out;
}

let store: Store;
const out: Record<string, string> = {};
test.before(async () => {
  store = await source();
  for (const format of formats) out[format] = await exported(store, format);
});

test("each names its files after the shards, and says what they are", () => {
  assert.equal(readdirSync(out.arrow!).sort(), ["000000.arrow", "000001.arrow", "000002.arrow", "export.json"]); // shard 3 has no row
  assert.equal(readdirSync(out.npy!).sort(), [
    "export.json",
    "id.npy",
    "imageIndex.npy",
    "label.npy",
    "latent.npy",
    "noise.npy",
    "rows.jsonl",
    "seed.npy",
  ]);
  const said = JSON.parse(readFileSync(join(out.webdataset!, "export.json"), "utf8"));
  assert.equal(
    [said.format, said.rows, said.manifest.teacher.hash, said.manifest.classes],
    ["webdataset", 23, "t0", ["cat", "dog", "owl"]],
  );
});

test("Arrow's own reader sees the rows of an arrow export", () => {
  const rows = [0, 1, 2].flatMap((shard) => tableFromIPC(readFileSync(join(out.arrow!, `00000${shard}.arrow`))).toArray());
  assert.equal(
    rows.map((row) => Number(row.id)),
    ids,
  );
  for (const [i, row] of rows.entries()) {
    const { label, caption, latent, noise } = expected[i]!;
    assert.equal([row.label, row.caption, row.seed], [label, caption, seed]);
    assert.equal(Float32Array.from(row.noise.toArray()), noise);
    assert.equal(fromHalf(Uint16Array.from(row.latent.data[0].values as Uint16Array)), latent);
  }
});

test("our own reader takes the tensors of a safetensors export", () => {
  const { tensors, metadata } = decodeSafetensors(withoutSeed(readFileSync(join(out.safetensors!, "000001.safetensors"))));
  assert.equal(tensors.latent!.shape, [7, 8, 8, 3]);
  assert.equal(tensors.latent!.data.subarray(length, 2 * length), expected[9]!.latent); // id 10 follows 8
  assert.equal(
    JSON.parse(metadata.caption!),
    expected.slice(8, 15).map(({ caption }) => caption),
  );
});

test("hyparquet reads the lists of a parquet-list export", async () => {
  const rows = await parquetReadObjects({ file: memoryBuffer(readFileSync(join(out["parquet-list"]!, "000002.parquet"))) });
  assert.equal(
    rows.map(({ id }) => Number(id)),
    ids.slice(15),
  );
  assert.equal(Float32Array.from(rows[3]!.noise), expected[18]!.noise);
  assert.equal([rows[0]!.caption, rows[7]!.label], [expected[15]!.caption, null]);
});

if (!duckdb) test.skip("DuckDB reads a parquet-list export", "@duckdb/node-api is not installed");
else
  test("DuckDB reads a parquet-list export", async () => {
    const instance = await duckdb.DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    const counts = "count(*)::integer n, count(label)::integer labels, count(caption)::integer captions";
    const totals = "sum(list_sum(latent::double[])) latents, sum(list_sum(noise::double[])) noises";
    const query = `select ${counts}, max(seed) seed, min(len(latent))::integer length, ${totals} from '${out["parquet-list"]}/*.parquet'`;
    const [row] = (await connection.runAndReadAll(query)).getRowObjectsJS();
    connection.closeSync();
    instance.closeSync();
    const { latents, noises, ...rest } = row as { latents: number; noises: number };
    assert.equal(rest, {
      n: 23,
      labels: expected.filter(({ label }) => label !== null).length,
      captions: expected.filter(({ caption }) => caption !== null).length,
      seed,
      length,
    });
    assert.close(
      [latents, noises],
      [sums(expected.map(({ latent }) => sums(latent))), sums(expected.map(({ noise }) => sums(noise)))],
      1e-6,
    );
  });

/** What each Python reader must say of the rows: see `facts` in the scripts. */
const wanted = expected.map(({ id, label, caption, latent, noise }) => ({
  id,
  seed: String(seed),
  label,
  caption,
  latent: [...latent.subarray(0, 3), latent[length - 1]],
  noise: [...noise.subarray(0, 3), noise[length - 1]],
  dtype: "float16",
  shape: [8, 8, 3],
}));
const facts = `
import json, os, sys
import numpy as np
folder = sys.argv[1]
shards = lambda ending: [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(ending)]
ends = lambda a: [float(x) for x in (*np.ravel(a)[:3], np.ravel(a)[-1])]
fact = lambda id, seed, label, caption, latent, noise: {
    "id": int(id), "seed": str(seed), "label": None if label is None or label < 0 else int(label), "caption": caption,
    "latent": ends(latent), "noise": ends(noise), "dtype": str(latent.dtype), "shape": list(latent.shape)}
`;
const readers: Record<string, { packages: string[]; script: string }> = {
  arrow: {
    packages: ["numpy", "pyarrow"],
    script: `
import pyarrow as pa
rows = []
for path in shards(".arrow"):
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    latent, noise = (table[name].combine_chunks().to_numpy_ndarray() for name in ("latent", "noise"))
    scalars = table.select(["id", "seed", "label", "caption"]).to_pylist()
    rows += [fact(r["id"], r["seed"], r["label"], r["caption"], latent[i], noise[i]) for i, r in enumerate(scalars)]
print(json.dumps(rows))`,
  },
  npy: {
    packages: ["numpy"],
    script: `
load = lambda name: np.load(os.path.join(folder, name + ".npy"), mmap_mode="r")
id, seed, label, latent, noise = map(load, ("id", "seed", "label", "latent", "noise"))
texts = [json.loads(line) for line in open(os.path.join(folder, "rows.jsonl"), encoding="utf8")]
assert [t["id"] for t in texts] == list(id)
print(json.dumps([fact(id[i], seed[i], label[i], texts[i]["caption"], latent[i], noise[i]) for i in range(len(id))]))`,
  },
  safetensors: {
    packages: ["numpy", "safetensors"],
    script: `
from safetensors import safe_open
rows = []
for path in shards(".safetensors"):
    with safe_open(path, "numpy") as f:
        t = {name: f.get_tensor(name) for name in f.keys()}
        captions = json.loads(f.metadata()["caption"])
    rows += [fact(t["id"][i], t["seed"][i], t["label"][i], captions[i], t["latent"][i], t["noise"][i]) for i in range(len(captions))]
print(json.dumps(rows))`,
  },
  webdataset: {
    packages: ["numpy", "webdataset"],
    script: `
import webdataset as wds
rows = []
for s in wds.WebDataset(shards(".tar"), shardshuffle=False).decode():
    j = s["json"]
    assert s["__key__"] == "%09d" % j["id"] and s.get("cls") == j["label"] and s.get("txt") == j["caption"]
    rows.append(fact(j["id"], j["seed"], j["label"], j["caption"], s["latent.npy"], s["noise.npy"]))
print(json.dumps(rows))`,
  },
  "parquet-list": {
    packages: ["numpy", "pyarrow"],
    script: `
import pyarrow.parquet as pq
table = pq.ParquetDataset(shards(".parquet")).read()
shape = json.loads(pq.read_metadata(shards(".parquet")[0]).metadata[b"shapes"])
tensor = lambda r, name, dtype: np.array(r[name], np.float32).astype(dtype).reshape(shape[name])
print(json.dumps([
    fact(r["id"], r["seed"], r["label"], r["caption"], tensor(r, "latent", np.float16), tensor(r, "noise", np.float32))
    for r in table.to_pylist()]))`,
  },
};

for (const [format, { packages, script }] of Object.entries(readers)) {
  const name = `${packages.at(-1)} reads what an export to ${format} wrote`;
  if (pythonHas(...packages)) test(name, () => assert.equal(runPython(facts + script, out[format]!), wanted), { seconds: 60 });
  else test.skip(name, withoutPython(...packages));
}

test("goes on after a stop with the same bytes, and stays away from another export", async () => {
  for (const format of formats) {
    const again = freshFolder();
    const controller = new AbortController();
    const report = (event: { type: string; done?: number }) => void (event.type === "progress" && event.done === 2 && controller.abort());
    await assert.rejects(exportStore({ path: store.folder, format, out: again, context: { signal: controller.signal, report } }), /abort/i);
    const left = readdirSync(again).filter((name) => name !== "export.json");
    assert.is(left.length, format === "npy" ? 0 : 2); // whole files, and no temporary one
    await exportStore({ path: store.folder, format, out: again, context: listening().context });
    assert.equal(contentsOf(again), contentsOf(out[format]!));
    const before = statSync(join(again, "export.json")).mtimeMs;
    const { results, context } = listening();
    await exportStore({ path: store.folder, format, out: again, context });
    assert.equal([results.export!["files written"], statSync(join(again, "export.json")).mtimeMs], [0, before]);
    const other = formats[(formats.indexOf(format) + 1) % formats.length]!;
    await assert.rejects(exportStore({ path: store.folder, format: other, out: again, context }), /another export stands there/);
  }
});

test("a store of images is exported with its names", async () => {
  const latents = await images();
  const folder = await exported(latents, "arrow");
  const rows = tableFromIPC(readFileSync(join(folder, "000002.arrow"))).toArray();
  assert.equal(
    rows.map((row) => [Number(row.id), row.name, row.caption === null]),
    [
      [16, "photos/16.png", false],
      [17, "photos/17.png", false],
      [18, "photos/18.png", false],
      [19, "photos/19.png", true],
    ],
  );
  const npy = await exported(latents, "npy");
  assert.equal(JSON.parse(readFileSync(join(npy, "rows.jsonl"), "utf8").split("\n")[7]!), {
    id: 7,
    class: "dog",
    name: "photos/7.png",
    caption: null,
  });
  assert.ok(!existsSync(join(npy, "noise.npy")));
});

test("refuses unknown formats, unfinished stores and damaged shards in a sentence", async () => {
  const folder = freshFolder();
  const run = (path: string, format: string) => exportStore({ path, format, out: folder, context: listening().context });
  const unknown = await assert.rejects(run(store.folder, "parquet"), 'Cannot export as "parquet"');
  const site = exportPath({ path: store.folder, format: "web", out: folder, context: listening().context });
  await assert.rejects(site, / as web: it holds no run \(model\.json\); name the folder of a student or teacher$/);
  assert.is((unknown as Failure).exitCode, 2);
  await assert.rejects(run((await triples({ seal: false })).folder, "npy"), /it is not finished/);
  const missing = await triples({ change: (row: TripleRow) => row });
  rmSync(join(missing.folder, "shards", "000003.parquet"));
  await assert.rejects(run(missing.folder, "npy"), /Cannot use the store .*000003.parquet: it is missing from a finished store/);
  assert.not(existsSync(folder), "nothing was begun");
});

/** The same file without its U64 tensor, which our float32 reader does not take. */
function withoutSeed(bytes: Buffer): Uint8Array {
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, start).toString());
  const [begin, end] = header.seed.data_offsets as [number, number];
  delete header.seed;
  for (const { data_offsets: range } of Object.values(header) as { data_offsets?: number[] }[]) {
    if (range && range[0]! >= end) range.forEach((at, i) => (range[i] = at - (end - begin)));
  }
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([size, json, bytes.subarray(start, start + begin), bytes.subarray(start + end)]);
}

test.run();

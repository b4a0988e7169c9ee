/** Record batches say what the rows say, in the schema that schemas/README.md has as a table, over the bytes that were read. */
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { type RecordBatch, Table, tableFromIPC, tableToIPC } from "apache-arrow";
import { columnsToExport } from "../../stages/export/columns.ts";
import { shardFormats } from "../../stages/export/formats.ts";
import { fieldsOf } from "../../schemas/columns.ts";
import { fromHalf } from "../../schemas/numbers/half.ts";
import { columnsOf } from "../../store/format/columns.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { openStore } from "../../store/rows/open.ts";
import { readShard, shardPath, type Store } from "../../store/shards/store.ts";
import { elementOf } from "../../store/format/stored-rows.ts";
import { createTokenStore } from "../../store/rows/tokens.ts";
import { createTripleStore, readTriples, tripleBatches } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { fill, fillShard, freshFolder, latentManifest, tripleManifest } from "./fixture.ts";

const test = suite("record batches");

const trajectory = { steps: [0, 4], sigmas: [80, 9] };
const embedding = { length: 2, width: 3, isMasked: false, pooled: 0 };

async function latents(changes: Parameters<typeof latentManifest>[0] = {}, fails?: (id: number) => boolean) {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(changes) });
  await fill(store, fails);
  return store;
}

async function batchesOf(
  folder: string,
  options?: Parameters<Awaited<ReturnType<typeof openStore>>["batches"]>[0],
): Promise<RecordBatch[]> {
  const all: RecordBatch[] = [];
  for await (const batch of (await openStore(folder)).batches(options)) all.push(batch);
  return all;
}

/** The elements of a tensor column, as they lie there. */
const valuesOf = (batch: RecordBatch, name: string) => batch.getChild(name)!.data[0]!.children[0]!.values as Float32Array;

test("rows of latents come back, failures and nulls and all", async () => {
  const store = await latents({}, (id) => id % 7 === 0);
  const rows = (await Promise.all([0, 1, 2, 3, 4, 5, 6].map((shard) => readShard(store, shard)))).flat();
  const batches = await batchesOf(store.folder);
  const found = batches.flatMap((batch) =>
    Array.from({ length: batch.numRows }, (_, i) => ({
      index: Number(batch.getChild("index")!.get(i)),
      name: batch.getChild("name")!.get(i),
      label: batch.getChild("label")!.get(i),
      caption: batch.getChild("caption")!.get(i),
      latent: valuesOf(batch, "latent").slice(24 * i, 24 * (i + 1)),
    })),
  );
  const asArrowReads = rows.map((row) => ({ ...row, caption: row.caption?.replace(/^\uFEFF/, "") ?? null })); // its decoder drops the mark
  assert.equal(found, asArrowReads);
});

test("triples have their states, halves, 64-bit seeds, and noise where it is asked for", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ dtype: "float16" }) });
  await fill(store);
  const [batch] = await batchesOf(store.folder, { columns: ["seed", "noise", "latent"], shards: [2] });
  const rows = await readTriples(store, 2);
  assert.equal(batch!.schema.names, ["seed", "noise", "latent"]);
  assert.is(batch!.getChild("seed")!.get(0), 18446744073709551557n);
  assert.equal(valuesOf(batch!, "noise"), Float32Array.from(rows.flatMap(({ noise }) => [...noise])));
  const halves = batch!.getChild("latent")!.data[0]!.children[0]!.values as Uint16Array;
  assert.equal(fromHalf(halves), Float32Array.from(rows.flatMap(({ latent }) => [...latent])));
});

test("the latents of a batch are a view of the file's own bytes, aligned", async () => {
  const store = await latents();
  const file = await open(shardPath(store, 3));
  const bytes = await file.readFile();
  await file.close();
  const [batch] = await batchesOf(store.folder, { shards: [3] });
  const values = valuesOf(batch!, "latent");
  assert.is(values.byteOffset % 8, 0);
  assert.ok(values.buffer.byteLength > values.byteLength + 100, "the buffer holds the other columns and the page's head too");
  const around = Buffer.from(values.buffer, values.byteOffset - 20, values.byteLength + 40); // what lies about it in the file as well
  assert.ok(bytes.includes(around), "no copy");
});

test("batches have at most so many rows, and share the bytes", async () => {
  const store = await latents();
  const batches = await batchesOf(store.folder, { rows: 3, columns: ["index", "latent"] });
  assert.equal(
    batches.slice(0, 4).map(({ numRows }) => numRows),
    [3, 3, 2, 3],
  );
  assert.is(valuesOf(batches[0]!, "latent").buffer, valuesOf(batches[1]!, "latent").buffer);
  assert.is(Number(batches[3]!.getChild("index")!.get(0)), 8);
});

test("in the order of trainings they are the rows of `tripleBatches`, step by step", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(store);
  const order = { seed: 3, batch: 6, window: 2, firstShards: Number.POSITIVE_INFINITY, stepsPerShard: 1, fromStep: 4, toStep: 9 };
  const batches = await batchesOf(store.folder, { columns: ["id", "label", "noise", "latent"], order });
  assert.is(batches.length, 5);
  for await (const { step, rows, noise, latent, label } of tripleBatches(store, order)) {
    const batch = batches[step - 4]!;
    assert.equal(
      Array.from(batch.getChild("id")!, Number),
      rows.map(({ id }) => id),
    );
    assert.equal(Array.from(batch.getChild("label")!), Array.from(label));
    assert.equal(valuesOf(batch, "noise"), noise);
    assert.equal(valuesOf(batch, "latent"), latent);
  }
});

test("a damaged row is refused before its group is given, a wrong column with what is near", async () => {
  const store = await latents();
  const opened = await openStore(store.folder);
  for await (const _ of opened.batches({ shards: [1] })); // its hash was right when it was first read
  const file = await open(shardPath(store, 1), "r+");
  const { size } = await file.stat();
  const at = (await file.readFile()).indexOf(Buffer.from("dir/9.png"));
  await file.write(Buffer.from("dir/8.png"), 0, 9, at);
  await file.close();
  assert.ok(at > 0 && at < size);
  await assert.rejects(async () => {
    for await (const _ of opened.batches({ shards: [1] }));
  }, /Cannot use shard 1 \(rows 8 to 15\).*row 1 \(id 9\) does not match the stored checksum.*--repair/);
  await assert.rejects(
    () => batchesOf(store.folder, { columns: ["latents"] }),
    /Cannot read the column "latents" of .*did you mean "latent"\?/,
  );
  await assert.rejects(() => batchesOf(freshFolder()), /Cannot open the store/);
});

test("an unfinished store gives the shards that are there, and names the first that is not", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fillShard(store, 0);
  assert.is((await batchesOf(store.folder, { shards: [0] }))[0]!.numRows, 8);
  await assert.rejects(() => batchesOf(store.folder), /Cannot read shard 1 \(rows 8 to 15\)/);
});

test("exports have the fields of the schema, with the id and the noise that each of them has", async () => {
  const triples = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(triples);
  const rows = await readShard(triples, 0);
  const exported = tableFromIPC(shardFormats.arrow!.encode(columnsToExport(triples.manifest, rows), rows.length, []));
  assert.equal(exported.schema.names, ["id", "seed", "imageIndex", "label", "caption", "noise", "latent"]);
  const [batch] = await batchesOf(triples.folder, { shards: [0], columns: exported.schema.names as string[] });
  const written = tableFromIPC(tableToIPC(new Table([batch!]), "file"));
  const inWords = (whole: typeof written) => whole.toArray().map((row) => String(row));
  assert.equal(inWords(written), inWords(exported));
  assert.equal(String(written.schema), String(exported.schema));
});

/** The columns of the table in schemas/README.md, in their order: name, kinds, type. */
const table = readFileSync(new URL("../../schemas/README.md", import.meta.url), "utf8")
  .split("\n")
  .flatMap((line) => {
    const [, name, kinds = "", type = ""] = /^\| `(\w+)` \| (.*?) \| ((?:INT|BYTE|FIXED)\S.*?) \|/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, kinds, type }];
  });

test("schemas/README.md has the same columns in the same order and types", async () => {
  const { index: _, ...image } = { index: 0, imageSize: 32, encoder: { kind: "pixel", hash: "e" }, source: { fingerprint: "s" } };
  const { shape: __, dtype: ___, ...common } = latentManifest();
  const tokens = {
    ...common,
    ...image,
    shape: [4, 3, 1] as [number, number, 1],
    dtype: "int16" as const,
    tokenizer: { hash: "t", codes: 9 },
  };
  const stores: Store[] = [
    await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ dtype: "float16" }) }),
    await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ noise: "stored", trajectory, embedding }) }),
    await createTokenStore({ folder: freshFolder(), manifest: tokens }),
  ];
  for (const { manifest } of stores) {
    const listed = table.filter(({ kinds }) => kinds === "all" || kinds.includes(manifest.kind));
    const fields = fieldsOf(manifest).map(({ name }) => (name === "state4" ? "state8" : name)); // the table's example
    assert.equal(
      [...fields, "crc32"],
      listed.map(({ name }) => name),
    );
    for (const [i, column] of columnsOf(manifest).entries()) {
      const { type, repetition_type } = elementOf(column);
      assert.ok(listed[i]!.type.startsWith(type!), `${column.name}: ${type} and "${listed[i]!.type}"`);
      assert.is(repetition_type === "OPTIONAL", listed[i]!.type.includes("optional"), column.name);
    }
  }
});

test.run();

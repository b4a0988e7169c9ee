/** Shards as Arrow files: the rows of Parquet ones bit by bit, read by other Arrow libraries, and refused where they are false. */
import { readFileSync } from "node:fs";
import { tableFromIPC } from "apache-arrow";
import { arrowShards } from "../../store/format/arrow-shard.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import { memoryBuffer } from "../../store/places/buffers.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { mergeStores } from "../../store/making/merge.ts";
import { mendStore } from "../../store/making/mend.ts";
import { openStore as openForBatches } from "../../store/rows/open.ts";
import { readScalars } from "../../store/shards/read.ts";
import { decodeRows, encodeShard } from "../../store/format/shard.ts";
import { openStore, presentShards, readRows, readShard, shardPath, type Store, writeShard } from "../../store/shards/store.ts";
import type { Column, Row } from "../../store/format/stored-rows.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { pythonHas, runPython, withoutPython } from "../export/python.ts";
import { checkRefused, falseShards, type Forge, rows } from "./false-shards.ts";
import { contentsOf, fill, freshFolder, latentManifest, latentRow, loseJournal, tripleManifest } from "./fixture.ts";

const test = suite("arrow shards");
const arrow = { shardFormat: "arrow" } as const;
const fails = (id: number): boolean => id % 7 === 0 || Math.floor(id / 8) === 4; // of shard 4 every row

/** The same store in either format. */
const pairs: Record<string, () => Promise<Store[]>> = {
  latents: () => both((of) => createLatentStore({ folder: freshFolder(), manifest: latentManifest(of) })),
  halves: () => both((of) => createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ dtype: "float16", ...of }) })),
  "stored noise": () => both((of) => createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ noise: "stored", ...of }) })),
};

async function both(make: (of: { shardFormat?: "arrow" }) => Promise<Store>): Promise<Store[]> {
  const stores = [await make({}), await make(arrow)];
  for (const store of stores) {
    await fill(store as never, fails);
    await sealStore(store);
  }
  return stores;
}

for (const [name, make] of Object.entries(pairs)) {
  test(`${name}: rows, parts of them, batches and sums are those of Parquet shards`, async () => {
    const [parquet, store] = (await make()) as [Store, Store];
    assert.equal(await presentShards(store), [0, 1, 2, 3, 4, 5, 6]);
    for (let shard = 0; shard < store.shards; shard++) {
      assert.equal(await readShard(store, shard), await readShard(parquet, shard));
      assert.equal(await readScalars(store, shard), await readScalars(parquet, shard));
    }
    const range = { shard: 2, from: 3, to: 6 };
    assert.equal(await readRows(store, range), await readRows(parquet, range));
    const order = { seed: 1, batch: 4, window: 2, firstShards: Infinity, stepsPerShard: 1, toStep: 12 };
    const [ours, theirs] = [rowBatches(store, order), rowBatches(parquet, order)];
    for await (const batch of theirs) assert.equal((await ours.next()).value, batch);
    assert.equal(await verifyStore(await openStore(store)), []);
    const statistics = (of: Store) => JSON.parse(readFileSync(`${of.folder}/summary.json`, "utf8")).statistics;
    assert.equal(statistics(store), statistics(parquet));
  });
}

test("another Arrow library sees the same values, and the metadata", async () => {
  const [, store] = (await pairs["stored noise"]!()) as [Store, Store];
  const table = tableFromIPC(readFileSync(shardPath(store, 1)));
  const rows = await readShard(store, 1);
  assert.is(table.numRows, rows.length);
  for (const [i, row] of (rows as Row[]).entries()) {
    const seen = table.get(i)!.toJSON();
    assert.equal([seen.id, seen.seed, seen.label], [BigInt(row.id as number), row.seed, row.label]);
    assert.equal(seen.caption, (row.caption as string | null)?.replace(/^\uFEFF/, "") ?? null); // its decoder drops the mark
    assert.equal(seen.noise.toArray(), row.noise);
    assert.equal(seen.latent.toArray(), row.latent);
  }
  assert.is(table.schema.metadata.get("fingerprint"), store.fingerprint);
});

if (!pythonHas("pyarrow")) test.skip("pyarrow finds the files valid", withoutPython("pyarrow"));
else {
  test("pyarrow finds the files valid, every buffer at a multiple of 64 bytes", async () => {
    for (const make of Object.values(pairs)) {
      const [, store] = (await make()) as [Store, Store];
      const script = `
import json, pyarrow as pa, sys
found = []
for shard in range(7):
    file = pa.ipc.open_file(pa.memory_map(f"{sys.argv[1]}/shards/{shard:06d}.arrow"))
    for batch in (file.get_batch(i) for i in range(file.num_record_batches)):
        batch.validate(full=True)
        base = lambda column: column.storage if isinstance(column, pa.ExtensionArray) else column
        found += [b.address % 64 for column in batch.columns for b in base(column).buffers() if b and b.size]
print(json.dumps(sorted(set(found))))`;
      assert.equal(runPython(script, store.folder), [0]);
    }
  });
}

const wide: Column[] = [
  { name: "id", type: "id" },
  { name: "text", type: "text" },
  { name: "values", type: "tensor", length: 2 ** 19, dtype: "float32" }, // two rows a record batch
];

test("several record batches hold a shard, and any rows of them are read", async () => {
  const all = Array.from({ length: 5 }, (_, id): Row => {
    return { id, text: id === 3 ? null : `№ ${id}`, values: normals({ seed: id, stream: "wide", length: 2 ** 19 }) };
  });
  const file = memoryBuffer(await encodeShard({ columns: wide, rows: all, metadata: { a: "b" }, format: arrowShards }));
  const end = await arrowShards.readEnd(file);
  const groups = end.groups({ columns: wide, rows: 5 });
  assert.equal(end.pairs, { a: "b" });
  assert.equal(
    groups.map(({ start, rows }) => [start, rows]),
    [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
    ],
  );
  for (const [from, to] of [
    [0, 5],
    [1, 4],
    [3, 3],
    [4, 5],
  ] as const)
    assert.equal(await decodeRows({ columns: wide, file, groups, from, to }), { rows: all.slice(from, to), damaged: [] });
});

test("a batch is a view of the file's own bytes", async () => {
  const [, store] = (await pairs.latents!()) as [Store, Store];
  const opened = await openForBatches(store.folder);
  for await (const batch of opened.batches({ shards: [3], columns: ["latent"] })) {
    const values = batch.getChild("latent")!.data[0]!.children[0]!.values as Float32Array;
    assert.is(values.byteOffset % 8, 0);
    const around = Buffer.from(values.buffer as ArrayBuffer, values.byteOffset - 64, values.byteLength + 64);
    assert.ok(readFileSync(shardPath(store, 3)).includes(around), "no copy");
  }
});

test("a shard without its journal line is checked by its bytes; stores merge, another format does not", async () => {
  const [parquet, store] = (await pairs.latents!()) as [Store, Store];
  const made = contentsOf(store.folder);
  const to = freshFolder();
  await mergeStores({ from: [store.folder], to });
  for (const name of Object.keys(made).filter((name) => name.startsWith("shards"))) assert.is(contentsOf(to)[name], made[name]);
  await assert.rejects(mergeStores({ from: [store.folder, parquet.folder], to: freshFolder() }), /\(shardFormat: /);
  const bare = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(arrow) });
  await writeShard(bare, { shard: 0, rows: [0, 1, 2, 3, 4, 5, 6, 7].map(latentRow) });
  loseJournal(bare);
  const again = await openStore(bare);
  assert.equal(
    (await verifyStore(again)).map(({ file }) => file),
    ["journal.jsonl"],
  );
  assert.equal(await mendStore(again), []);
  await assert.rejects(createLatentStore({ folder: bare.folder, manifest: latentManifest() }), /shardFormat: "arrow" instead of nothing/);
});

let good: Store;
test.before(async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest(arrow) });
  await fill(store);
  good = await openStore(store);
});

const counted: Record<string, [Forge, RegExp]> = {
  "a row missing": [rows((all) => all.slice(1)), /its record batch at byte \d+ has 7 rows, expected 8/],
  "a row too many": [rows((all) => [...all, all[7]!]), /its record batch at byte \d+ has 9 rows, expected 8/],
  "an end that is none": [(_, bytes) => bytes.map((byte, i) => (i >= bytes.length - 4 ? 0 : byte)), /it does not end with ARROW1/],
  "a description longer than the file": [
    (_, bytes) => bytes.map((byte, i) => (i >= bytes.length - 10 && i < bytes.length - 6 ? 0xff : byte)),
    /its description has 4294967295 bytes, more than the file/,
  ],
  "no byte": [() => new Uint8Array(0), /it has 0 bytes/],
};

for (const [name, [forge, problem]] of Object.entries({ ...falseShards, ...counted })) {
  test(`${name}: verify, train, inspect and merge say so`, () => checkRefused(good, forge, problem));
}

test("whatever is flipped in what describes the rows is refused in words, or changes no row", async () => {
  const bytes = readFileSync(shardPath(good, 1));
  const { columns } = good;
  const read = async (flipped: Uint8Array) => {
    const file = memoryBuffer(flipped);
    const groups = (await arrowShards.readEnd(file)).groups({ columns, rows: 8 });
    return decodeRows({ columns, file, groups, from: 0, to: 8 });
  };
  const sound = await read(bytes);
  const before = process.resourceUsage().maxRSS;
  let refused = 0;
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Uint8Array.from(bytes);
    flipped[at]! ^= at % 3 === 0 ? 0x01 : at % 3 === 1 ? 0x80 : 0xff;
    try {
      const found = await read(flipped);
      if (found.damaged.length > 0) refused++;
      else assert.equal(found, sound, `byte ${at}`);
    } catch (error) {
      refused++;
      assert.is((error as Error).constructor, Error, `byte ${at}: ${(error as Error).stack}`);
    }
  }
  assert.ok(refused > bytes.length / 3, `${refused} of ${bytes.length}`);
  const taken = process.resourceUsage().maxRSS - before;
  assert.ok(taken < 200 * 1024, `${taken} kB`);
});

test.run();

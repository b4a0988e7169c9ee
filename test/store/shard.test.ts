import { readFileSync } from "node:fs";
import { tableFromIPC } from "apache-arrow";
import { type AsyncBuffer, parquetMetadata, parquetReadObjects } from "hyparquet";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { readParquet } from "parquet-wasm/node";
import { crc32, createCrc, IEEE } from "../../schemas/numbers/crc.ts";
import { memoryBuffer } from "../../store/places/buffers.ts";
import { parquetShards } from "../../store/format/parquet-shard.ts";
import { decodeRows, encodeShard } from "../../store/format/shard.ts";
import type { Column, Row } from "../../store/format/stored-rows.ts";
import { readRows, readShard, shardPath, writeShard } from "../../store/shards/store.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { createTripleStore, noiseOf } from "../../store/rows/triples.ts";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { turnsDuring } from "../fixtures/turns.ts";
import { assert, suite } from "../harness.ts";
import { fill, freshFolder, latentManifest, latentOf, latentRow, tripleManifest, tripleRow } from "./fixture.ts";

const test = suite("shard");

/** What arrow-rs, an implementation that shares nothing with ours, sees in a file. */
function independently(path: string): Record<string, unknown[]> {
  const table = tableFromIPC(readParquet(readFileSync(path)).intoIPCStream());
  const names = table.schema.fields.map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, [...(table.getChild(name) ?? [])]]));
}

/** Rows of a file of bytes, after the checks that every reader makes. */
async function decoded(options: { columns: Column[]; file: AsyncBuffer; rows: number; from?: number; to?: number }) {
  const { columns, file, rows, from = 0, to = rows } = options;
  const groups = (await parquetShards.readEnd(file)).groups({ columns, rows });
  return decodeRows({ columns, file, groups, from, to });
}

const floats = (bytes: unknown) => new Float32Array(new Uint8Array(bytes as Uint8Array).buffer);

test("crc32 gives the published check value, with and without zlib", () => {
  for (const crc of [crc32, createCrc(IEEE)]) {
    assert.is(crc(Buffer.from("123456789")), 0xcbf43926);
    assert.is(crc(Buffer.from("6789"), crc(Buffer.from("12345"))), 0xcbf43926);
  }
});

test("an independent reader sees the same latents, texts and nulls", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  const rows = await readShard(store, 1);
  assert.equal(
    rows,
    Array.from({ length: 8 }, (_, i) => latentRow(8 + i)),
  );
  const seen = independently(shardPath(store, 1));
  assert.equal(
    seen.index,
    rows.map(({ index }) => BigInt(index)),
  );
  for (const key of ["name", "label"] as const)
    assert.equal(
      seen[key],
      rows.map((row) => row[key]),
    );
  const unmarked = rows.map(({ caption }) => caption?.replace(/^\uFEFF/, "") ?? null); // Arrow's decoder drops the mark
  assert.equal(seen.caption, unmarked);
  assert.equal(
    seen.latent?.map(floats),
    rows.map(({ latent }) => latent),
  );
});

test("an independent reader sees 64-bit seeds, noise and half latents", async () => {
  const manifest = tripleManifest({ noise: "stored", dtype: "float16" });
  const store = await createTripleStore({ folder: freshFolder(), manifest });
  const seeds = [2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, 0n];
  const rows = Array.from({ length: 8 }, (_, id) => ({ ...tripleRow(store, id), seed: seeds[id % 4] ?? 0n }));
  await writeShard(store, { shard: 0, rows });
  const back = await readShard(store, 0);
  assert.equal(
    back.map(({ seed }) => seed),
    rows.map(({ seed }) => seed),
  );
  assert.equal(
    back.map(({ noise }) => noise),
    rows.map(({ noise }) => noise),
  );
  assert.equal(
    back.map(({ latent }) => latent),
    rows.map(({ latent }) => fromHalf(toHalf(latent))),
  );
  const seen = independently(shardPath(store, 0));
  assert.equal(
    seen.seed,
    rows.map(({ seed }) => seed),
  );
  assert.equal(
    seen.noise?.map(floats),
    rows.map(({ noise }) => noise),
  );
  const halves = seen.latent?.map((bytes) => new Uint16Array(new Uint8Array(bytes as Uint8Array).buffer));
  assert.equal(
    halves,
    rows.map(({ latent }) => toHalf(latent)),
  );
});

test("a shard of several row groups comes back, whole and in part", async () => {
  const length = 65_536;
  const columns: Column[] = [
    { name: "id", type: "id" },
    { name: "x", type: "tensor", length, dtype: "float32" },
  ];
  const rows: Row[] = Array.from({ length: 37 }, (_, id) => ({ id, x: latentOf(id, length) }));
  const file = memoryBuffer(await encodeShard({ columns, rows, metadata: {} }));
  assert.equal((await decoded({ columns, file, rows: rows.length })).rows, rows);
  const part = await decoded({ columns, file, rows: rows.length, from: 14, to: 18 });
  assert.equal(part.rows, rows.slice(14, 18));
  assert.equal(part.damaged, []);
});

test("writing large shards leaves the control thread to others", async () => {
  const rowsPerShard = 2048;
  const manifest = latentManifest({ shape: [32, 32, 6], entries: 3 * rowsPerShard, rowsPerShard });
  const store = await createLatentStore({ folder: freshFolder(), manifest });
  const latent = latentOf(0, 32 * 32 * 6);
  const shares: number[] = [];
  for (let shard = 0; shard < 3; shard++) {
    const first = shard * rowsPerShard;
    const rows = Array.from({ length: rowsPerShard }, (_, i) => ({ index: first + i, name: "x", label: null, caption: null, latent }));
    const { longest, whole } = await turnsDuring(() => writeShard(store, { shard, rows }), 1); // 50 MB
    if (whole !== undefined) shares.push(longest! / whole);
  }
  // A stretch is some megabytes' work. The garbage of others may lengthen one here and there.
  const least = Math.min(...shares);
  if (shares.length > 0) assert.ok(least < 1 / 8, `${(100 * least).toFixed(1)} % of a shard's work is done at one stretch`);
});

test("rows are read by position without the rest", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  assert.equal(await readRows(store, { shard: 2, from: 3, to: 5 }), [latentRow(19), latentRow(20)]);
});

test("a shard of no rows keeps its failures and stays readable to others", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store, (id) => id < 8);
  assert.equal(await readShard(store, 0), []);
  assert.equal(independently(shardPath(store, 0)).index, []);
});

test("the same rows give the same bytes, other rows other bytes", async () => {
  const columns: Column[] = [
    { name: "id", type: "id" },
    { name: "text", type: "text" },
  ];
  const encode = async (text: string | null) => Buffer.from(await encodeShard({ columns, rows: [{ id: 1, text }], metadata: { a: "b" } }));
  assert.ok((await encode("x")).equals(await encode("x")));
  assert.not((await encode("")).equals(await encode(null)));
});

test("a shard's bytes are what hyparquet-writer itself writes of the same rows", async () => {
  const columns: Column[] = [
    { name: "id", type: "id" },
    { name: "label", type: "int32" },
    { name: "text", type: "text" },
    { name: "x", type: "tensor", length: 200_000, dtype: "float32" },
  ];
  const values = latentOf(3, 12 * 200_000);
  const rows = Array.from({ length: 12 }, (_, id) => ({
    id,
    label: id % 4 === 1 ? null : id,
    text: id % 3 === 0 ? null : `text ${id}`,
    x: values.subarray(id * 200_000, (id + 1) * 200_000),
  }));
  const ours = await encodeShard({ columns, rows, metadata: { a: "b", c: "d" } });
  const writer = new ByteWriter();
  const element = (name: string, type: "INT32" | "INT64", repetition_type: "REQUIRED" | "OPTIONAL") => ({ name, type, repetition_type });
  const checksums = parquetMetadata(ours.buffer.slice(ours.byteOffset, ours.byteOffset + ours.length) as ArrayBuffer);
  assert.is(checksums.row_groups.length, 3); // of 5, 5 and 2 rows
  return decoded({ columns, file: memoryBuffer(ours), rows: 12 }).then(async ({ damaged }) => {
    assert.equal(damaged, []);
    const crcs = (await parquetReadObjects({ file: memoryBuffer(ours), columns: ["crc32"] })).map(({ crc32 }) => crc32);
    const column = (name: string, data: unknown[]) => ({ name, data: data as never, encoding: "PLAIN" as const, statistics: false });
    parquetWrite({
      writer,
      schema: [
        { name: "onestep", num_children: 5 },
        element("id", "INT64", "REQUIRED"),
        element("label", "INT32", "OPTIONAL"),
        { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
        { name: "x", type: "FIXED_LEN_BYTE_ARRAY", type_length: 800_000, repetition_type: "REQUIRED" },
        { ...element("crc32", "INT32", "REQUIRED"), converted_type: "UINT_32" },
      ],
      columnData: [
        column(
          "id",
          rows.map(({ id }) => BigInt(id)),
        ),
        column(
          "label",
          rows.map(({ label }) => label),
        ),
        column(
          "text",
          rows.map(({ text }) => text),
        ),
        column(
          "x",
          rows.map(({ x }) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength)),
        ),
        column("crc32", crcs),
      ],
      codec: "UNCOMPRESSED",
      statistics: false,
      rowGroupSize: 5,
      pageSize: 2 ** 30,
      createdBy: "onestep",
      kvMetadata: [
        { key: "a", value: "b" },
        { key: "c", value: "d" },
      ],
    });
    assert.ok(Buffer.from(ours).equals(writer.getBytes()));
  });
});

test("a tensor of the wrong length is refused", async () => {
  const columns: Column[] = [{ name: "x", type: "tensor", length: 3, dtype: "float32" }];
  const rows = [{ x: new Float32Array(2) }];
  await assert.rejects(encodeShard({ columns, rows, metadata: {} }), /2 values in column "x": expected 3/);
});

test("the test vectors of schemas/README.md hold", () => {
  const text = readFileSync(new URL("../../schemas/README.md", import.meta.url), "utf8");
  const vectors = [...text.matchAll(/^ +seed (\d+), offset (\d+): ([0-9a-f ]+)$/gm)];
  assert.ok(vectors.length >= 3);
  for (const [, seed, offset, words] of vectors) {
    const expected = words!.trim().split(" ");
    const noise = normals({ seed: BigInt(seed!), stream: "noise", offset: Number(offset), length: expected.length });
    const bits = Array.from(new Uint32Array(noise.buffer, noise.byteOffset, noise.length), (word) => word.toString(16).padStart(8, "0"));
    assert.equal(bits, expected, `seed ${seed}, offset ${offset}`);
  }
});

test("the documented noise of a row", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(store);
  const [row] = await readRows(store, { shard: 3, from: 2, to: 3 });
  assert.is(row?.id, 26);
  assert.is(row?.seed, 18446744073709551557n);
  const whole = normals({ seed: 18446744073709551557n, stream: "noise", length: 27 * 24 });
  assert.equal(row && noiseOf(row, 24), whole.slice(26 * 24));
});

test.run();

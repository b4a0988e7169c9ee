/** schemas/README.md says what is written, and the Python reader beside it reads it by that page alone. */
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { normals } from "../../schemas/numbers/philox.ts";
import { blocksOf, rowOrder } from "../../store/rows/order.ts";
import { columnsOf, type TripleRow } from "../../store/format/columns.ts";
import { readShardMetadata } from "../../store/format/shard.ts";
import { openStore, readShard, shardPath, type Store } from "../../store/shards/store.ts";
import { noiseOf, readTriples, statesOf } from "../../store/rows/triples.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import { pythonHas, runPython, withoutPython } from "../export/python.ts";
import { assert, suite } from "../harness.ts";
import { plant, withMetadata } from "../store/forgery.ts";
import { freshFolder, images, length, triples } from "./fixture.ts";

const test = suite("format");
const schemas = fileURLToPath(new URL("../../schemas/", import.meta.url));
const page = await readFile(join(schemas, "README.md"), "utf8");
const bits = (values: Float32Array) =>
  Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (word) => word.toString(16).padStart(8, "0")).join(" ");

test("the page's test vectors of noise hold", () => {
  const vectors = [...page.matchAll(/^ {4}seed (\d+), offset (\d+): ([0-9a-f ]+)$/gm)];
  assert.is(vectors.length, 3);
  for (const [, seed, offset, words] of vectors) {
    assert.is(bits(normals({ seed: BigInt(seed!), stream: "noise", offset: Number(offset), length: words!.split(" ").length })), words);
  }
  const [, seed, count, digest] = /seed (\d+), offset 0, (\d+) values: sha256 ([0-9a-f]{64})/.exec(page)!;
  const many = normals({ seed: BigInt(seed!), stream: "noise", length: Number(count) });
  assert.is(createHash("sha256").update(new Uint8Array(many.buffer)).digest("hex"), digest);
  assert.equal(noiseOf({ seed: 3, id: 2 }, 24), normals({ seed: 3, stream: "noise", offset: 48, length: 24 }));
});

test("the page's training order is the one that is trained in", () => {
  const blocks = [...page.matchAll(/^ {4}(\d+): ([\d ]+); ([\d ]+)$/gm)];
  assert.is(blocks.length, 6);
  const blockAt = blocksOf({ seed: 1, batch: 4, shards: 4, rowsPerShard: 2, window: 2, firstShards: 2, stepsPerShard: 1 });
  let position = 0;
  for (const [, index, shards, rows] of blocks) {
    const block = blockAt(position);
    assert.equal([String(block.index), block.shards.join(" "), [...rowOrder(1, block, block.length)].join(" ")], [index, shards, rows]);
    position += block.length;
  }
});

const trajectory = { trajectory: { steps: [0, 8], sigmas: [80, 3.25] } };
const onTheWay = (row: TripleRow): TripleRow => ({ ...row, state8: row.latent.map((value) => 3 * value + 1) });

test("the page names every column and every key of a shard, in order", async () => {
  for (const store of [
    await triples({ manifest: { noise: "stored" }, change: (row) => ({ ...row, noise: noiseOf(row, length) }) }),
    await triples({ manifest: trajectory, change: onTheWay }),
    await images(),
  ]) {
    const shards = page.slice(page.indexOf("## Shards"), page.indexOf("## The journal"));
    let from = 0;
    for (const { name } of [...columnsOf(store.manifest), { name: "crc32" }]) {
      assert.ok(shards.indexOf(`| \`${name}\` |`, from) >= from, name);
      from = shards.indexOf(`| \`${name}\` |`, from);
    }
    const keys = Object.keys(await readShardMetadata(shardPath(store, 0)));
    const told = [...shards.slice(shards.indexOf("**Key-value metadata**")).matchAll(/`(\w+)`/g)].map(([, key]) => key!);
    assert.equal(keys, [...new Set(told.filter((key) => keys.includes(key)))]);
    for (const key of Object.keys(store.manifest)) assert.match(page, `\`${key}\``);
  }
});

const packages = ["numpy", "pyarrow"];
if (!pythonHas(...packages)) test.skip("read_store.py reads and verifies stores", withoutPython(...packages));
else {
  const script = `
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from read_store import read
digest = lambda tensor: hashlib.sha256(tensor.tobytes()).hexdigest()
shown = {"seed": str, "latent": digest, "noise": digest, "states": lambda states: [digest(state) for state in states]}
print(json.dumps([{k: shown[k](value) if k in shown else value for k, value in row.items()} for row in read(sys.argv[2])]))`;
  const digest = (values: Float32Array) =>
    createHash("sha256")
      .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
      .digest("hex");

  test(
    "read_store.py reads what we wrote: stored and derived noise, halves, texts, nulls, 64-bit seeds",
    async () => {
      const seed = 18446744073709551557n;
      const change: NonNullable<Parameters<typeof triples>[0]>["change"] = (row) =>
        row.id === 11
          ? 'torn "quotes" \u2028 и др.'
          : { ...row, seed, label: row.id % 4 === 3 ? null : row.label, caption: row.id % 5 === 4 ? null : row.caption };
      const derived = await triples({ manifest: { seed: String(seed) }, change });
      const stored = await triples({
        manifest: { seed: String(seed), noise: "stored", guidance: 1e-7 },
        change: (row) => {
          const changed = change(row);
          return typeof changed === "string" ? changed : { ...changed, noise: noiseOf(changed, length) };
        },
      });
      const seen: unknown[] = [];
      for (const store of [derived, stored] as Store<TripleManifest>[]) {
        const rows = runPython(script, schemas, store.folder) as Record<string, unknown>[];
        const ours = (await Promise.all([0, 1, 2, 3, 4].map((shard) => readTriples(store, shard)))).flat();
        assert.equal(
          rows,
          ours.map(({ latent, noise, seed, ...row }) => ({
            ...row,
            seed: String(seed),
            latent: digest(latent),
            noise: digest(noise),
          })),
        );
        seen.push(rows.map(({ noise }) => noise));
      }
      assert.equal(seen[0], seen[1]);
      for (const noise of ["derived", "stored"] as const) {
        const store = await triples({
          manifest: { ...trajectory, noise },
          change: (row) => ({ ...onTheWay(row), ...(noise === "stored" && { noise: noiseOf(row, length) }) }),
        });
        const rows = runPython(script, schemas, store.folder) as { states: string[] }[];
        const ours = (await Promise.all([0, 1, 2, 3, 4].map((shard) => readTriples(store, shard)))).flat();
        assert.equal(
          rows.map(({ states }) => states),
          ours.map((row) => statesOf(store.manifest, row).map(digest)),
        );
      }
      const half = await triples({ manifest: { dtype: "float16", ...trajectory }, entries: 8, change: onTheWay });
      assert.is((runPython(script, schemas, half.folder) as unknown[]).length, 8);
      const arrow = await triples({ manifest: { ...trajectory, shardFormat: "arrow", dtype: "float16" }, entries: 20, change: onTheWay });
      assert.equal(
        runPython(script, schemas, arrow.folder),
        runPython(
          script,
          schemas,
          (await triples({ manifest: { ...trajectory, dtype: "float16" }, entries: 20, change: onTheWay })).folder,
        ),
      );
      const latents = await images();
      const rows = runPython(script, schemas, latents.folder) as Record<string, unknown>[];
      const ours = (await Promise.all([0, 1, 2].map((shard) => readShard(latents, shard)))).flat();
      assert.equal(
        rows,
        ours.map((row) => ({ ...row, latent: digest(row.latent) })),
      );
    },
    { seconds: 60 },
  );

  test(
    "read_store.py passes over what systems leave in a store, and refuses one that is false",
    async () => {
      const store = await triples({ entries: 16 });
      for (const name of ["._000000.parquet", ".DS_Store", "Thumbs.db"]) await writeFile(join(store.folder, "shards", name), "litter");
      await mkdir(join(store.folder, "shards/@eaDir"));
      assert.is((runPython(script, schemas, store.folder) as unknown[]).length, 16);
      const whole = await readFile(shardPath(store, 1));
      plant(store, 1, await withMetadata(store, 1, { rows: (all) => all.map((row) => ({ ...row, id: Number(row.id) + 8 })) }));
      assert.throws(() => runPython(script, schemas, store.folder), /000001.parquet: its ids are not the shard's/);
      plant(store, 1, whole);
      plant(store, 1, await withMetadata(await openStore(store), 1, { rows: (all) => all.slice(0, 7) }));
      assert.throws(() => runPython(script, schemas, store.folder), /000001.parquet: it lacks rows/);
    },
    { seconds: 60 },
  );

  test(
    "read_store.py refuses a flipped bit wherever it is",
    async () => {
      const store = await triples({ entries: 16 });
      for (const [file, at] of [
        ["store.json", 300],
        ["shards/000001.parquet", 2500],
        ["journal.jsonl", 60],
      ] as const) {
        const copy = freshFolder();
        await cp(store.folder, copy, { recursive: true });
        const bytes = await readFile(join(copy, file));
        bytes[at]! ^= 1;
        await writeFile(join(copy, file), bytes);
        assert.throws(() => runPython(script, schemas, copy), /Cannot trust|not in journal/, file);
      }
    },
    { seconds: 60 },
  );
}

test.run();

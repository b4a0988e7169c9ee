/** The token store: what it holds, what its page and Python reader say of it, and that no damage of it goes unseen. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hashWeights } from "../../engine/weights.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import type { Draft, TokenManifest } from "../../schemas/manifest.ts";
import type { ImageTokenizerDescription } from "../../schemas/model.ts";
import { writeDescriptions } from "../../stages/runs/store-settings.ts";
import { columnsOf, type TokenRow } from "../../store/format/columns.ts";
import { readShardMetadata } from "../../store/format/shard.ts";
import { idRange, openStore, readShard, type Store, shardPath, writeShard } from "../../store/shards/store.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { createTokenStore, openTokenStore, tokenBatches } from "../../store/rows/tokens.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { pythonHas, runPython, withoutPython } from "../export/python.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, freshFolder } from "./fixture.ts";

const test = suite("token store");
const schemas = fileURLToPath(new URL("../../schemas", import.meta.url));
const page = readFileSync(join(schemas, "README.md"), "utf8");

const config: ImageTokenizerDescription["config"] = {
  shape: [4, 4, 3],
  downsample: 2,
  width: 8,
  codes: 32768,
  dimension: 2,
  sigmaData: 0.5,
};
const weights = initImageTokenizer(config, 1);
const statistics = { mean: [0, 0, 0], std: [1, 1, 1], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };
const description: ImageTokenizerDescription = { role: "tokenizer", hash: hashWeights(weights), config, statistics };
const codec = { description: { kind: "pixel", imageSize: 4, shape: [4, 4, 3] as [number, number, number], hash: "pixel" }, weights: {} };

const manifest: Draft<TokenManifest> = {
  shape: [2, 2, 1],
  dtype: "int16",
  entries: 50,
  rowsPerShard: 8,
  classes: ["cat", "dog"],
  imageSize: 4,
  encoder: { kind: "pixel", hash: "pixel" },
  tokenizer: { hash: description.hash, codes: 32768 },
  source: { fingerprint: "s0" },
  engine: { device: "cpu", version: "test" },
};
const rowOf = (index: number): TokenRow => ({
  index,
  name: `${index}.png`,
  label: index % 3 === 2 ? null : index % 2,
  caption: index % 4 === 1 ? null : `кот ${index}`,
  tokens: Int16Array.from(integers({ seed: 3, stream: "tokens", offset: index * 4, length: 4, below: 32768 })),
});

async function made(): Promise<Store<TokenManifest>> {
  const store = await createTokenStore({ folder: freshFolder(), manifest });
  await writeDescriptions({ folder: store.folder, codec, tokenizer: { description, weights }, settings: { seed: 0 }, context: {} });
  for (let shard = 0; shard < store.shards; shard++) {
    const { from, to } = idRange(store.manifest, shard);
    const ids = Array.from({ length: to - from }, (_, i) => from + i);
    const failed = ids.filter((id) => id % 9 === 4).map((id) => ({ id, name: `${id}.png`, reason: "no image" }));
    await writeShard(store, { shard, rows: ids.filter((id) => id % 9 !== 4).map(rowOf), failed });
  }
  await sealStore(store);
  return store;
}

test("rows come back as they were written, in order and in batches; sums are those of the numbers", async () => {
  const store = await made();
  const rows = (await Promise.all(Array.from({ length: store.shards }, (_, shard) => readShard(store, shard)))).flat();
  const ids = Array.from({ length: 50 }, (_, id) => id).filter((id) => id % 9 !== 4);
  assert.equal(rows, ids.map(rowOf));
  const summary = await readSummary(store);
  const all = rows.flatMap(({ tokens }) => [...tokens]);
  assert.close(summary!.statistics.mean[0]!, all.reduce((a, b) => a + b) / all.length, 1e-6);
  assert.equal([summary!.statistics.min, summary!.statistics.max], [[Math.min(...all)], [Math.max(...all)]]);
  const order = { seed: 1, batch: 5, window: 2, firstShards: Infinity, stepsPerShard: 1 };
  for await (const { tokens, rows, label } of tokenBatches(store, { ...order, toStep: 4 })) {
    assert.equal(
      [...tokens],
      rows.flatMap((row) => [...row.tokens]),
    );
    assert.equal(
      [...label],
      rows.map((row) => row.label ?? -1),
    );
  }
  assert.is((await openTokenStore({ folder: store.folder })).fingerprint, store.fingerprint);
});

test("what is no token is not written, and a manifest of other numbers not taken", async () => {
  const store = await createTokenStore({ folder: freshFolder(), manifest });
  const rows = Array.from({ length: 8 }, (_, id) => ({ ...rowOf(id), tokens: Float32Array.from(rowOf(id).tokens) as never }));
  await assert.rejects(writeShard(store, { shard: 0, rows }), /expected 4 as Int16Array/);
  for (const wrong of [{ dtype: "float32" }, { shape: [2, 2, 2] }, { tokenizer: { hash: "t", codes: 32769 } }]) {
    await assert.rejects(
      createTokenStore({ folder: freshFolder(), manifest: { ...manifest, ...wrong } as never }),
      /Cannot use these settings/,
    );
  }
  const other = { ...manifest, tokenizer: { hash: "another", codes: 9 } };
  await assert.rejects(createTokenStore({ folder: store.folder, manifest: other }), /tokenizer\.codes.*tokenizer\.hash/);
});

test("the page names its columns and keys", async () => {
  const store = await made();
  const shards = page.slice(page.indexOf("## Shards"), page.indexOf("## The journal"));
  let from = 0;
  for (const { name } of [...columnsOf(store.manifest), { name: "crc32" }]) {
    assert.ok(shards.indexOf(`| \`${name}\` |`, from) >= from, name);
    from = shards.indexOf(`| \`${name}\` |`, from);
  }
  for (const key of [...Object.keys(store.manifest), ...Object.keys(await readShardMetadata(shardPath(store, 0)))]) {
    assert.match(page, `\`${key}\``);
  }
});

test("any of 80 damages is found by verify, and named", async () => {
  const { folder } = await made();
  const files = contentsOf(folder);
  const names = Object.keys(files);
  assert.ok(names.includes("tokenizer.json") && names.includes("tokenizer.safetensors"));
  for (let trial = 0; trial < 80; trial++) {
    const name = names[trial % names.length]!;
    const bytes = Buffer.from(files[name]!, "hex");
    const [kind, position, bit] = integers({
      seed: 6,
      stream: "damage",
      offset: 3 * trial,
      length: 3,
      below: 2 ** 32,
    }) as never as number[];
    const at = position! % bytes.length;
    if (kind! % 4 > 0) bytes[at]! ^= 1 << (bit! & 7);
    writeFileSync(join(folder, name), kind! % 4 === 0 ? bytes.subarray(0, at) : bytes);
    const found = await openStore({ folder }).then(verifyStore, (error: Error) => error.message);
    const place = `${name}, byte ${at}`;
    if (typeof found === "string") assert.match(found, /store\.json/, place);
    else
      assert.ok(
        found.some(({ file }) => file === name),
        `${place}: ${JSON.stringify(found)}`,
      );
    writeFileSync(join(folder, name), Buffer.from(files[name]!, "hex"));
  }
  assert.equal(await verifyStore(await openStore({ folder })), []);
});

if (!pythonHas("numpy", "pyarrow")) test.skip("read_store.py reads tokens", withoutPython("numpy", "pyarrow"));
else {
  test(
    "read_store.py reads tokens",
    async () => {
      const store = await made();
      const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
from read_store import read
print(json.dumps([{**row, "tokens": row["tokens"].tolist()} for row in read(sys.argv[2])]))`;
      const rows = runPython(script, schemas, store.folder) as (Omit<TokenRow, "tokens"> & { tokens: number[][][] })[];
      const ours = (await Promise.all(Array.from({ length: store.shards }, (_, shard) => readShard(store, shard)))).flat();
      assert.equal(
        rows.map((row) => ({ ...row, tokens: row.tokens.flat(2) })),
        ours.map((row) => ({ ...row, tokens: [...row.tokens] })),
      );
    },
    { seconds: 60 },
  );
}

test.run();

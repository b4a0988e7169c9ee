/** A store that keeps the teacher's states: what its description may say, how rows come, and that any damage to a state is found. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprint } from "../../schemas/manifest.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import { memoryBuffer } from "../../store/places/buffers.ts";
import { chunkOf, keyValues, readFooter } from "../../store/format/footer.ts";
import { encodeShard } from "../../store/format/shard.ts";
import type { Row } from "../../store/format/stored-rows.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { openStore, readRows, readShard, type Store, shardPath, writeShard } from "../../store/shards/store.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { createTripleStore, noiseOf, openTripleStore, statesOf, tripleBatches } from "../../store/rows/triples.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { fill, freshFolder, tripleManifest, tripleRow } from "./fixture.ts";
import { plant, withFooter, withPage } from "./forgery.ts";

const test = suite("a store with a trajectory");
const trajectory = { steps: [0, 5, 11], sigmas: [80, 12.5, 0.75] };
const order = { seed: 1, batch: 5, window: 2, firstShards: Infinity, stepsPerShard: 1 };

/** States that are functions of the id alone: 100 + id and 200 + id, and the place within. */
const stateOf = (id: number, step: number): Float32Array =>
  Float32Array.from({ length: 24 }, (_, i) => (step === 5 ? 100 : 200) + id + i / 32);
const withStates = (row: TripleRow): TripleRow => ({ ...row, state5: stateOf(row.id, 5), state11: stateOf(row.id, 11) });

async function made(changes: Parameters<typeof tripleManifest>[0] = {}, { seal = true } = {}): Promise<Store<TripleManifest>> {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest({ trajectory, ...changes }) });
  for (let shard = 0; shard < store.shards; shard++) {
    const ids = Array.from({ length: Math.min(8, 50 - 8 * shard) }, (_, i) => 8 * shard + i);
    await writeShard(store, { shard, rows: ids.map((id) => withStates(tripleRow(store, id))) });
  }
  if (seal) await sealStore(store);
  return openTripleStore(store);
}

test("absent, it changes no fingerprint; present, it is a part of it", async () => {
  const bare = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  const { trajectory: _, ...without } = { ...bare.manifest, trajectory };
  assert.is(fingerprint(without), bare.fingerprint);
  assert.is(fingerprint({ ...bare.manifest, trajectory: undefined }), bare.fingerprint);
  assert.not.equal((await made()).fingerprint, bare.fingerprint);
  // The description of a store as onestep wrote it before there were trajectories.
  assert.is(bare.fingerprint, "5e7b6af0381a0c8c6c706e06a9af5c118aec186a0875a2279e67524ffe5ab22c");
});

test("a description that no solver or file can bear is refused by name", async () => {
  const refused = async (changes: Parameters<typeof tripleManifest>[0], words: RegExp) =>
    assert.rejects(createTripleStore({ folder: freshFolder(), manifest: tripleManifest(changes) }), words);
  await refused({ trajectory: { steps: [5, 0], sigmas: [80, 1] } }, /trajectory.steps: \[5,0\], expected rising numbers/);
  await refused({ trajectory: { steps: [5, 5], sigmas: [80, 1] } }, /expected rising numbers/);
  await refused(
    { trajectory: { steps: [0, 18], sigmas: [80, 1] } },
    /trajectory.steps: 18, expected at most 17: the state after that is the result/,
  );
  await refused({ trajectory: { steps: [0, 5], sigmas: [80] } }, /trajectory.sigmas: \[80\], expected 2 falling noise levels/);
  await refused({ trajectory: { steps: [0, 5], sigmas: [1, 80] } }, /expected 2 falling noise levels/);
  await refused({ trajectory: { steps: [], sigmas: [] } }, /trajectory.steps/);
  await refused({ trajectory: { steps: [-1], sigmas: [1] } }, /trajectory.steps/);
  await refused({ trajectory: { steps: [1], sigmas: [0] } }, /trajectory.sigmas/);
  const large = { shape: [512, 512, 4] as [number, number, number], entries: 10_000, rowsPerShard: 256, trajectory };
  await refused(large, /trajectory: 3 states make shards of 3221225472 bytes.*keep fewer states.*or make smaller shards/);
});

test("batches carry each state beside its noise and latent where they are asked for, and rows none where not", async () => {
  for (const changes of [{}, { noise: "stored" }, { dtype: "float16" }] as const) {
    const store = await made(changes);
    let seen = 0;
    for await (const { rows, noise, latent, states } of tripleBatches(store, { ...order, states: true, toStep: 8 })) {
      assert.is(states?.length, 3);
      for (const [i, { id }] of rows.entries()) {
        const of = (values: Float32Array) => values.subarray(24 * i, 24 * i + 24);
        assert.equal(
          of(states![0]!),
          noiseOf({ seed: BigInt(store.manifest.seed), id }, 24).map((value) => value * 80),
        );
        assert.equal(of(noise), noiseOf({ seed: BigInt(store.manifest.seed), id }, 24));
        const tolerance = "dtype" in changes ? 0.07 : 0; // of a half float near 200
        assert.close(of(states![1]!), stateOf(id, 5), tolerance);
        assert.close(of(states![2]!), stateOf(id, 11), tolerance);
        assert.is(of(latent).length, 24);
        seen++;
      }
    }
    assert.is(seen, 40);
    for await (const { rows, states } of tripleBatches(store, { ...order, toStep: 1 })) {
      assert.is(states, undefined);
      assert.equal(
        Object.keys(rows[0]!).filter((name) => name.startsWith("state")),
        [],
      );
    }
    const [row] = await readShard(store, 2);
    assert.equal(statesOf(store.manifest, row!).length, 3);
  }
  const bare = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(bare);
  const [first] = await readShard(bare, 0);
  assert.equal(statesOf(bare.manifest, first!), []);
});

/** What training on a folder ends with. */
async function training(folder: string): Promise<string> {
  try {
    for await (const _ of tripleBatches(await openTripleStore({ folder }), { ...order, toStep: 12 }));
    return "trained";
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return (error as Error).message;
  }
}

test("any flipped bit of a state is found by verify, by training that does not look at states, and by whoever reads its row", async () => {
  const store = await made();
  const path = shardPath(store, 1);
  const sound = readFileSync(path);
  const [group] = (await readFooter(memoryBuffer(sound))).row_groups;
  for (const [c, name] of ["state5", "state11"].entries()) {
    const chunk = chunkOf(group!, name);
    const [start, size] = [Number(chunk.data_page_offset), Number(chunk.total_compressed_size)];
    const draws = integers({ seed: 5, stream: "states", offset: 40 * c, length: 40, below: 8 * 8 * 96 });
    for (const bit of draws) {
      const bytes = Buffer.from(sound);
      bytes[start + size - 8 * 96 + (bit >> 3)]! ^= 1 << (bit & 7);
      writeFileSync(path, bytes);
      const findings = await verifyStore(await openStore(store));
      assert.equal(
        findings.map(({ shard, file }) => [shard, file]),
        [[1, "shards/000001.parquet"]],
      );
      const row = Math.floor((bit >> 3) / 96);
      await assert.rejects(
        readRows(await openStore(store), { shard: 1, from: row, to: row + 1 }),
        new RegExp(`row ${row} .id ${8 + row}. does not match`),
      );
      if (bit % 8 === 0) assert.match(await training(store.folder), /^Cannot use shard 1 \(rows 8 to 15\) of /);
    }
  }
  writeFileSync(path, sound);
  assert.equal(await verifyStore(await openStore(store)), []);
});

test("a shard whose states have other values, another number of them, or no column is found, though its hashes agree", async () => {
  const good = await made({}, { seal: false });
  const forged: Record<string, [(store: Store, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>, RegExp]> = {
    "a value changed": [
      (_, bytes) => withPage(bytes, "state11", (_header, values) => Uint8Array.from(values, (byte, i) => (i === 99 ? byte ^ 4 : byte))),
      /row 1 \(id 9\) does not match the stored checksum/,
    ],
    "fewer values": [
      (_, bytes) => withPage(bytes, "state5", (_header, values) => values.subarray(0, values.length - 4)),
      /column state5 of its row group 0 has \d+ bytes, too few for 8 rows|the page of column state5/,
    ],
    "more values": [
      (_, bytes) => withPage(bytes, "state5", (_header, values) => Buffer.concat([values, values.subarray(0, 4)])),
      /the page of column state5 at byte \d+ has \d+ bytes/,
    ],
    "narrower states": [
      (_, bytes) => withFooter(bytes, (of) => void (of.schema[6]!.type_length = 92)),
      /its column 5 is state5 .* not state5/,
    ],
    "states in each other's place": [
      (_, bytes) => withFooter(bytes, (of) => void ([of.schema[6], of.schema[7]] = [of.schema[7]!, of.schema[6]!])),
      /its column 5 is state11 .*, not state5/,
    ],
    "no state": [
      async (store, bytes) => {
        const metadata = keyValues(await readFooter(memoryBuffer(bytes)));
        const columns = store.columns.filter(({ name }) => name !== "state11");
        return Uint8Array.from(await encodeShard({ columns, rows: (await readShard(store, 1)) as Row[], metadata }));
      },
      /it has 8 columns, expected 9/,
    ],
  };
  for (const [what, [forge, problem]] of Object.entries(forged)) {
    const folder = freshFolder();
    cpSync(good.folder, folder, { recursive: true });
    const store = await openStore({ folder });
    plant(store, 1, await forge(store, readFileSync(shardPath(store, 1))));
    const [finding] = await verifyStore(await openStore({ folder }));
    assert.match(finding!.problem, problem, `${what}: ${finding!.problem}`);
    assert.match(await training(folder), /^Cannot use shard 1 /, what);
  }
});

test("a shard whose journal line was lost is checked by making its bytes again, states and all", async () => {
  const store = await made();
  writeFileSync(join(store.folder, "journal.jsonl"), "");
  const findings = await verifyStore(await openStore(store));
  assert.ok(
    findings.every(({ shard }) => shard === undefined),
    JSON.stringify(findings[0]),
  );
  assert.ok((await readSummary(store))!.rows === 50);
});

test.run();

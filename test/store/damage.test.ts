/** Any flipped bit and any truncation of any file of a store: 300 random ones, or as many as ONESTEP_DAMAGE says. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashWeights } from "../../engine/weights.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import { latentShape } from "../../models/codecs/autoencoder.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { writeDescriptions } from "../../stages/runs/store-settings.ts";
import type { Codec } from "../../stages/runs/model.ts";
import { openStore } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { createTripleStore, openTripleStore, tripleBatches } from "../../store/rows/triples.ts";
import { mendStore } from "../../store/making/mend.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, fill, fillShard, freshFolder, latentOf, tripleManifest } from "./fixture.ts";

const test = suite("damage");
const trials = Number(process.env.ONESTEP_DAMAGE ?? 300);
const fails = (id: number) => id % 7 === 5;
const order = { seed: 1, batch: 5, window: 2, firstShards: Infinity, stepsPerShard: 1 };
const settings = settingsSchema.parse({ images: { size: 16 } });

const config = { channels: 2, downsample: 4, width: 4, limit: 3, noise: 0, perceptualWeight: 0, boundWeight: 0 };
const weights = { kernel: { shape: [40], data: latentOf(7, 40) } };
const codec: Codec = {
  description: { kind: "autoencoder", imageSize: 16, shape: latentShape(config, 16), hash: hashWeights(weights), config },
  weights,
};

async function madeStore(): Promise<string> {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await writeDescriptions({ folder: store.folder, codec, settings, context: {} });
  await fill(store, fails);
  await sealStore(store);
  return store.folder;
}

interface Damage {
  name: string;
  bytes: Buffer;
  what: string;
}

/** The trial-th damage: a file in turn, a bit of it or an end of it at random. */
function damageOf(files: Record<string, string>, trial: number): Damage {
  const names = Object.keys(files);
  const name = names[trial % names.length]!;
  const bytes = Buffer.from(files[name]!, "hex");
  const [kind, position, bit] = integers({ seed: 5, stream: "damage", offset: 3 * trial, length: 3, below: 2 ** 32 });
  const at = position! % bytes.length;
  if (kind! % 4 === 0) return { name, bytes: bytes.subarray(0, at), what: `cut to ${at} bytes` };
  bytes[at]! ^= 1 << (bit! & 7);
  return { name, bytes, what: `bit ${bit! & 7} of byte ${at} flipped` };
}

/** What verify says of a store: its findings, or the sentence with which it was refused. */
async function verdict(folder: string) {
  try {
    return await verifyStore(await openStore({ folder }));
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return (error as Error).message;
  }
}

/** Reads an epoch of batches; answers the ids that came and the sentence with which it ended, if any. */
async function train(folder: string): Promise<{ ids: number[]; message?: string }> {
  const ids: number[] = [];
  try {
    for await (const { rows } of tripleBatches(await openTripleStore({ folder }), { ...order, toStep: 12 })) {
      ids.push(...rows.map(({ id }) => id));
    }
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return { ids, message: (error as Error).message };
  }
  return { ids };
}

/** What a command with --repair does, with the fixture's rows in the teacher's place. */
async function repair(folder: string): Promise<number[]> {
  const store = await createTripleStore({ folder, manifest: tripleManifest(), repair: true });
  await writeDescriptions({ folder, codec, settings, context: {} });
  const shards = (await mendStore(store)).flatMap(({ shard }) => shard ?? []);
  for (const shard of shards) {
    store.remade.add(shard);
    await fillShard(store, shard, fails);
  }
  await sealStore(store);
  return shards;
}

test(
  `any of ${trials} damages is found by verify and by the reader, named, and repaired alone`,
  async () => {
    const folder = await madeStore();
    const files = contentsOf(folder);
    assert.ok(Object.keys(files).length >= 20);
    assert.equal(await verdict(folder), []);
    assert.is((await train(folder)).message, undefined);

    for (let trial = 0; trial < trials; trial++) {
      const { name, bytes, what } = damageOf(files, trial);
      const place = `${name}, ${what}`;
      writeFileSync(join(folder, name), bytes);
      const shard = name.startsWith("shards/") ? Number(name.slice(7, 13)) : undefined;
      const rows = shard === undefined ? "" : `rows ${8 * shard} to ${Math.min(8 * shard + 7, 49)}`;

      const findings = await verdict(folder);
      assert.ok(findings.length > 0, `verify passed over ${place}`);
      if (typeof findings === "string") assert.match(findings, /store\.json.*(--repair|Update)/, place);
      else {
        assert.ok(
          findings.some((finding) => finding.file === name && finding.remedy !== ""),
          `${place}: ${JSON.stringify(findings)}`,
        );
        if (shard !== undefined)
          assert.equal(
            findings.map((finding) => finding.shard),
            [shard],
            place,
          );
      }

      const { ids, message = "" } = await train(folder);
      assert.ok(message !== "", `the reader passed over ${place}`);
      if (shard === undefined) assert.equal(ids, [], `rows came in spite of ${place}`);
      else {
        assert.ok(message.includes(`shard ${shard} (${rows})`) && message.includes("--repair"), `${place}: ${message}`);
        assert.not(
          ids.some((id) => Math.floor(id / 8) === shard),
          `a row came from ${place}`,
        );
      }

      if (trial % 5 === 0) {
        assert.equal(await repair(folder), shard === undefined ? [] : [shard], place);
        assert.equal(contentsOf(folder), files, `repaired ${place}`);
      } else {
        writeFileSync(join(folder, name), Buffer.from(files[name]!, "hex"));
      }
    }
    assert.equal(await verdict(folder), []);
  },
  { seconds: Math.max(60, trials) },
);

test("a repair remakes exactly the damaged shards and touches no other", async () => {
  const folder = await madeStore();
  const files = contentsOf(folder);
  for (const shard of [1, 4]) writeFileSync(join(folder, `shards/00000${shard}.parquet`), "torn");
  writeFileSync(join(folder, "journal.jsonl"), "");
  assert.equal(await repair(folder), [1, 4]);
  assert.equal(contentsOf(folder), files);
});

test("a store.json that cannot be read is written anew only where the shards agree", async () => {
  const folder = await madeStore();
  const { "store.json": sound } = contentsOf(folder);
  writeFileSync(join(folder, "store.json"), "{");
  await assert.rejects(openStore({ folder }), /store.json is damaged. Repeat the command that made the store with --repair/);
  const other = createTripleStore({ folder, manifest: tripleManifest({ guidance: 9 }), repair: true });
  await assert.rejects(other, /shards\/000000.parquet was made with other settings/);
  assert.is(readFileSync(join(folder, "store.json"), "utf8"), "{");
  await repair(folder);
  assert.is(contentsOf(folder)["store.json"], sound);
});

test("the reader of a store that is still growing minds codec and settings, not a torn journal line", async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await writeDescriptions({ folder: store.folder, codec, settings, context: {} });
  await fillShard(store, 0);
  const one = { ...order, window: 1, toStep: 1, firstShards: 1 };
  const first = async () => (await tripleBatches(await openTripleStore(store), one).next()).value?.step;
  writeFileSync(join(store.folder, "journal/000001.json"), '{"shard":1,"ro');
  assert.is(await first(), 0);
  writeFileSync(join(store.folder, "settings.yaml"), "seed: 1\n");
  await assert.rejects(first(), /settings.yaml: its sha256 is not the one in checksums.json. Remedy: repeat the command/);
});

test.run();

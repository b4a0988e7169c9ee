/** Shares of the work, merging, repairing and trying again: each gives the store of one unbroken run. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { permutation } from "../../schemas/numbers/philox.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { merge } from "../../pipelines/merge.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { verify } from "../../pipelines/verify.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { shareOf } from "../../store/making/share.ts";
import { openStore, readFailures, writeShard } from "../../store/shards/store.ts";
import { createTripleStore, openTripleStore, readTriples } from "../../store/rows/triples.ts";
import { sealStore } from "../../store/shards/summary.ts";
import type { Work } from "../../store/making/work.ts";
import { encodePng } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder, settingsOf, writeRun } from "./fixture.ts";

const test = suite("shares and repairs");

let teacher: string;
let whole: string;
let files: Record<string, string>;

test.before(async () => {
  teacher = await writeRun();
  whole = freshFolder();
  await make(whole);
  files = contentsOf(whole);
});

async function make(out: string, work: Work = {}): Promise<PipelineEvent[]> {
  const events: PipelineEvent[] = [];
  await simulate({ teacher, out, work, settings: settingsOf(), context: contextOf((event) => events.push(event)) });
  return events;
}

const said = (events: PipelineEvent[]) => events.flatMap((event) => ("message" in event ? event.message : [])).join("\n");

test("parts and ranges cover all shards once, and nonsense is refused", () => {
  for (const n of [1, 2, 3, 7]) {
    const makers = Array.from({ length: n }, (_, i) => shareOf({ part: `${i + 1}/${n}` }, 10));
    for (let shard = 0; shard < 10; shard++) assert.is(makers.filter((has) => has(shard)).length, 1);
  }
  const range = shareOf({ shards: "3-5" }, 10);
  assert.equal([2, 3, 5, 6].map(range), [false, true, true, false]);
  assert.equal([6, 7, 8].map(shareOf({ shards: "7" }, 10)), [false, true, false]);
  for (const part of ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"]) assert.throws(() => shareOf({ part }, 10), /expected --part i\/n/);
  for (const shards of ["5-3", "0-10", "x", "-1"]) assert.throws(() => shareOf({ shards }, 10), /expected --shards a-b within 0-9/);
  assert.throws(() => shareOf({ part: "1/2", shards: "0-1" }, 10), /at once/);
});

/** A store that has only these shards yet, as a process that made no others leaves it. */
function partial(shards: number[]): string {
  const out = freshFolder();
  cpSync(whole, out, { recursive: true });
  rmSync(join(out, "summary.json"));
  const lines = readFileSync(join(out, "journal.jsonl"), "utf8").split("\n");
  rmSync(join(out, "journal.jsonl"));
  mkdirSync(join(out, "journal"));
  for (const shard of shards) writeFileSync(join(out, `journal/00000${shard}.json`), `${lines[shard]}\n`);
  for (let shard = 0; shard < 4; shard++) if (!shards.includes(shard)) rmSync(join(out, `shards/00000${shard}.parquet`));
  return out;
}

test(
  "any split gives the same store",
  async () => {
    const splits: Work[][] = [
      [{ part: "2/3" }, { part: "1/3" }, { part: "3/3" }],
      [{ shards: "1-2" }, { part: "2/2" }, { shards: "0" }], // they overlap in shard 1
    ];
    for (const split of splits) {
      const out = freshFolder();
      for (const [i, work] of split.entries()) {
        const events = await make(out, work);
        assert.is(existsSync(join(out, "summary.json")), i === split.length - 1);
        if (i < split.length - 1) assert.match(said(events), /this share is done; \d of 4 shards are left to others/);
      }
      assert.equal(contentsOf(out), files);
    }
  },
  { seconds: 60 },
);

test("stores made apart merge to the same store, also where they overlap, one after the other", async () => {
  const apart = freshFolder();
  await make(apart, { part: "2/2" });
  assert.equal(contentsOf(apart), contentsOf(partial([1, 3])));
  const out = freshFolder();
  await merge({ stores: [apart], out, context: contextOf() });
  assert.not(existsSync(join(out, "summary.json")));
  await merge({ stores: [partial([2, 3]), apart, partial([0])], out, context: contextOf() });
  assert.equal(contentsOf(out), files);
  await merge({ stores: [out, whole], out, context: contextOf() });
  assert.equal(contentsOf(out), files);
});

test(
  "shares made at the same time in one folder",
  async () => {
    const out = freshFolder();
    await Promise.all([make(out, { part: "2/2" }), make(out)]);
    assert.equal(contentsOf(out), files);
  },
  { seconds: 60 },
);

test("stores that do not belong together, differ or are damaged are not merged", async () => {
  const [other, damaged, out] = [freshFolder(), freshFolder(), freshFolder()];
  const { manifest } = await openTripleStore({ folder: whole });
  await createTripleStore({ folder: other, manifest: { ...manifest, guidance: 3 } });
  const mixed = merge({ stores: [whole, other], out, context: contextOf() });
  await assert.rejects(mixed, /Cannot merge .*: it was made with other settings \(guidance: 3 instead of 1.5\)/);
  assert.not(existsSync(out));

  cpSync(whole, damaged, { recursive: true });
  const path = join(damaged, "shards/000002.parquet");
  const bytes = readFileSync(path);
  bytes[500]! ^= 1;
  writeFileSync(path, bytes);
  await assert.rejects(merge({ stores: [damaged], out, context: contextOf() }), /shard 2 \(rows 16 to 23\)/);

  // The same shard from an unlike device: sound by itself, but not the same bytes.
  const unlike = freshFolder();
  cpSync(whole, unlike, { recursive: true });
  const store = await openTripleStore({ folder: unlike });
  const rows = (await readTriples(store, 1)).map(({ noise: _, ...row }) => row);
  rows[0]!.latent[0]! += 1e-6;
  rmSync(join(unlike, "journal.jsonl"));
  store.remade.add(1);
  await writeShard(store, { shard: 1, rows });
  const unequal = merge({ stores: [whole, unlike], out: freshFolder(), context: contextOf() });
  await assert.rejects(unequal, /both have shard 1 and they differ, so they were made on unlike devices/);
  assert.equal(contentsOf(whole), files);
});

test("--repair remakes exactly the damaged shards, and store.json, from the teacher", async () => {
  const out = freshFolder();
  cpSync(whole, out, { recursive: true });
  const order = permutation({ seed: 3, stream: "damage", length: 4 });
  for (const shard of order.subarray(0, 2)) {
    const path = join(out, `shards/00000${shard}.parquet`);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 16;
    writeFileSync(path, bytes);
  }
  writeFileSync(join(out, "store.json"), readFileSync(join(out, "store.json")).subarray(0, 40));
  await assert.rejects(verify({ path: out, context: contextOf() }), /store.json is damaged/);
  await assert.rejects(make(out), /--repair/);
  const events = await make(out, { repair: true });
  assert.is(said(events).match(/shards\/.*does not match|shards\/.*sha256/g)?.length, 2);
  assert.equal(contentsOf(out), files);
  assert.not(said(await make(out, { repair: true })));
  assert.equal(await verify({ path: out, context: contextOf() }), []);
});

test("--retry simulates failed rows of finished shards alone", async () => {
  const out = freshFolder();
  cpSync(whole, out, { recursive: true });
  const store = await openTripleStore({ folder: out });
  const rows = (await readTriples(store, 1)).map(({ noise: _, ...row }) => row);
  rmSync(join(out, "journal.jsonl"));
  store.remade.add(1);
  await writeShard(store, { shard: 1, rows: rows.filter(({ id }) => id !== 10), failed: [{ id: 10, reason: "a cosmic ray" }] });
  await sealStore(store);
  assert.not.equal(contentsOf(out), files);
  await make(out); // finished: nothing to do
  assert.is((await readFailures(await openStore({ folder: out }), 1)).length, 1);
  await make(out, { retry: true });
  assert.equal(contentsOf(out), files);
});

test("verify names file, rows and remedy, and mends what needs no teacher", async () => {
  const out = freshFolder();
  cpSync(whole, out, { recursive: true });
  writeFileSync(join(out, "journal.jsonl"), "x");
  writeFileSync(join(out, "summary.json"), "x");
  rmSync(join(out, "shards/000001.parquet"));
  const run = async (path: string, repair: boolean) => {
    const events: PipelineEvent[] = [];
    const end = await verify({ path, repair, context: contextOf((event) => events.push(event)) }).then(() => "sound", String);
    return `${said(events)}\n${end}`;
  };
  assert.match(await run(out, false), /journal.jsonl: line 1 is damaged; run pipeline verify with --repair/);
  assert.match(await run(out, true), /is damaged: \d finding/);
  cpSync(join(whole, "shards/000001.parquet"), join(out, "shards/000001.parquet"));
  assert.match(await run(out, true), /sound/);
  assert.equal(contentsOf(out), files);
  rmSync(join(out, "shards/000001.parquet"));
  const words = await run(out, false);
  assert.match(
    words,
    /shards\/000001.parquet \(rows 8 to 15\): it is missing from a finished store; repeat the command that made the store with --repair/,
  );
  assert.match(words, /1 of its 4 shards must be made again \(1\)/);
});

test(
  "ingest: shares give the same store, --repair mends it, --retry takes images that can be read now",
  async () => {
    const images = freshFolder();
    mkdirSync(images);
    const png = (i: number) => encodePng({ width: 12, height: 10, samples: Uint8Array.from({ length: 360 }, (_, k) => 20 * i + (k % 13)) });
    for (let i = 0; i < 11; i++) writeFileSync(join(images, `${i}.png`), png(i));
    const settings = settingsSchema.parse({ seed: 2, images: { size: 8 }, encoder: { rowsPerShard: 3 }, engine: { threads: 1 } });
    const into = (out: string, work: Work = {}) => ingest({ images: [images], out, work, settings, context: contextOf() });
    const [one, shared, torn] = [freshFolder(), freshFolder(), freshFolder()];
    await into(one);
    const expected = contentsOf(one);
    for (const part of ["2/3", "3/3", "1/3"]) await into(shared, { part });
    assert.equal(contentsOf(shared), expected);

    writeFileSync(join(shared, "shards/000002.parquet"), "torn");
    await into(shared, { repair: true });
    assert.equal(contentsOf(shared), expected);

    const bad = join(images, "4.png");
    writeFileSync(bad, Buffer.alloc(png(4).length)); // of the same size, so the listing is the same
    await into(torn);
    const store = await openStore({ folder: torn });
    const failures = (await Promise.all([0, 1, 2, 3].map((shard) => readFailures(store, shard)))).flat();
    assert.is(failures.length, 1);
    const before = contentsOf(torn);
    await into(torn, { retry: true }); // still unreadable
    assert.equal(contentsOf(torn), before);
    writeFileSync(bad, png(4));
    await into(torn, { retry: true });
    assert.equal(contentsOf(torn), expected);
  },
  { seconds: 60 },
);

test.run();

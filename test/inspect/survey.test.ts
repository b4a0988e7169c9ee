import { readFile, rm, writeFile } from "node:fs/promises";
import { normals } from "../../schemas/numbers/philox.ts";
import { inspect } from "../../pipelines/inspect.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { healthOf, timesInWords } from "../../stages/inspect/health.ts";
import { channelTable, factsOf } from "../../stages/inspect/facts.ts";
import { surveyStore } from "../../stages/inspect/survey.ts";
import { createTally } from "../../stages/inspect/tally.ts";
import { askToRegister, openReader } from "../../store/shards/readers.ts";
import { removeRead } from "../../store/shards/removed.ts";
import { openStore, shardPath, type Store } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { healthyRow, images, length, listening, triples } from "./fixture.ts";

const test = suite("survey");
const settings = resolveSettings([presetLayer("smoke")]);
const survey = (store: Store) => surveyStore(store, { signal: new AbortController().signal });
const hintsOf = async (store: Store) => healthOf(store.manifest, await survey(store));

test("its figures are those of a plain sum over all rows", async () => {
  const store = await triples();
  const seen = await survey(store);
  const rows = Array.from({ length: 40 }, (_, id) => healthyRow(id));
  assert.is(seen.rows, 40);
  assert.equal(
    seen.shards.map(({ state, rows }) => [state, rows]),
    new Array(5).fill(["sound", 8]),
  );
  assert.equal(
    [...seen.conditions.labels],
    [
      [0, 14],
      [1, 13],
      [2, 13],
    ],
  );
  assert.is(seen.conditions.captions.counts().distinct, 4);
  for (const [spread, tensors] of [
    [seen.latent, rows.map(({ latent }) => latent)],
    [seen.noise!, rows.map((row) => noiseOf(row, length))],
  ] as const) {
    for (let c = 0; c < 3; c++) {
      const values = tensors.flatMap((tensor) => [...tensor].filter((_, i) => i % 3 === c));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
      const { statistics, histograms } = spread;
      assert.close([statistics.mean[c]!, statistics.std[c]!], [mean, std], 1e-9);
      assert.equal([statistics.min[c], statistics.max[c]], [Math.min(...values), Math.max(...values)]);
      const { from, to, counts } = histograms[c]!;
      assert.is(
        counts.reduce((sum, count) => sum + count, 0),
        values.length,
      );
      const inside = values.filter((value) => value >= from + (to - from) / 4 && value < to - (to - from) / 4).length;
      assert.is(
        counts.slice(12, 36).reduce((sum, count) => sum + count, 0),
        inside,
      );
    }
  }
  assert.is(seen.noise!.mismatched, 0);
  assert.equal(healthOf(store.manifest, seen), {});
});

test("names the worst rows, repeated latents and values that are not finite", async () => {
  const store = await triples({
    manifest: { noise: "derived" },
    change: (row) => {
      const latent = row.latent.slice();
      if (row.id === 12) latent.forEach((_, i) => (latent[i]! *= 8)); // far in all values
      if (row.id === 21) latent[5] = 30; // far in one
      if (row.id === 30) latent[0] = Number.NaN;
      return row.id === 33 ? { ...row, latent: healthyRow(3).latent } : { ...row, latent };
    },
  });
  const seen = await survey(store);
  assert.is(seen.farthest[0]!.id, 12);
  assert.is(seen.peaks[0]!.id, 21);
  assert.equal([seen.duplicates.repeated, seen.duplicates.examples], [1, [[3, 33]]]);
  assert.is(seen.latent.statistics.nonFinite, 1);
  const hints = healthOf(store.manifest, seen);
  assert.match(hints.duplicates!, /^1 row \(2.5 %\) with the latent of an earlier one \(row 33 as 3\)/);
  assert.match(hints["not finite"]!, /^1 value of the latents \(under 0.1 %\)/);
  assert.match(hints["far row"]!, /^row 12 lies/);
  assert.match(hints["large value"]!, /row 21/);
});

test("says in words what a wrong scale, a flat channel, foreign noise and lopsided classes look like", async () => {
  const scaled = await hintsOf(await triples({ change: (row) => ({ ...row, latent: row.latent.map((value) => value * 3.1) }) }));
  assert.match(scaled["latent std"]!, /^1\.5\d* is three times the teacher's \(diffusion.sigmaData\): check the scaling factor$/);
  const shifted = await hintsOf(await triples({ change: (row) => ({ ...row, latent: row.latent.map((value) => value + 2) }) }));
  assert.match(shifted["latent mean"]!, /check the shift/);
  const flat = await hintsOf(
    await triples({ change: (row) => ({ ...row, latent: row.latent.map((value, i) => (i % 3 === 1 ? 0.25 : value)) }) }),
  );
  assert.match(flat["flat channels"]!, /^channel 1 never changes/);
  const foreign = await hintsOf(
    await triples({
      manifest: { noise: "stored" },
      change: (row) => ({ ...row, noise: normals({ seed: 1, stream: row.id, length }).map((value) => 1.3 * value) }),
    }),
  );
  assert.match(foreign.noise!, /not those of unit normals/);
  assert.match(foreign["noise and seed"]!, /^the stored noise of 40 of the rows/);
  const own = await hintsOf(await triples({ manifest: { noise: "stored" }, change: (row) => ({ ...row, noise: noiseOf(row, length) }) }));
  assert.equal(own, {});
  const lopsided = await hintsOf(
    await triples({
      change: (row) => (row.id % 3 === 1 && row.id > 3 ? "torn" : { ...row, label: row.id % 3 === 2 ? 0 : row.label }),
    }),
  );
  assert.match(lopsided.balance!, /^cat has 27 times the rows of dog/);
  assert.match(lopsided["absent classes"]!, /^owl have no row/);
  assert.match(lopsided.rejected!, /^30 % were rejected, most for this reason: torn/);
  const dim = await hintsOf(await images(20, { encoder: { kind: "taesd", hash: "t" } }));
  assert.match(dim["latent std"]!, /is half the encoder's usual 1: check the scaling factor/);
  assert.equal(await hintsOf(await images()), { captions: "5 rows without a caption" });
});

test("a damaged and a missing shard are told of, and the others surveyed", async () => {
  const store = await triples();
  const bytes = await readFile(shardPath(store, 1));
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(shardPath(store, 1), bytes);
  await rm(shardPath(store, 3));
  const { results, context } = listening();
  await assert.rejects(inspect({ path: store.folder, settings, context }), /: shard 1 of 5 is damaged: /);
  assert.match(String(results.health!.damage), /^1 damaged shard, the first is 1: its sha256 is not/);
  assert.match(String(results.health!.unfinished), /^1 of 5 shards are missing/);
  const seen = await survey(await openStore({ folder: store.folder }));
  assert.equal(
    seen.shards.map(({ state }) => state),
    ["sound", "damaged", "sound", "missing", "sound"],
  );
  assert.is(seen.conditions.rows, 24);
});

test("a shard that was removed once it was read is not missing", async () => {
  const store = await triples();
  await askToRegister(store, "unread");
  await openReader(store, { name: "a1", pinned: 1, from: 0 }).passed(3);
  await removeRead(store);
  await rm(shardPath(store, 3));
  const seen = await survey(await openStore({ folder: store.folder }));
  assert.equal(
    seen.shards.map(({ shard, count, state }) => [shard, count, state]),
    [
      [0, 1, "sound"],
      [1, 2, "removed"],
      [3, 1, "missing"],
      [4, 1, "sound"],
    ],
  );
  assert.match(String(healthOf(store.manifest, seen).unfinished), /^1 of 5 shards are missing/);
  assert.match(String((await factsOf(store, seen)).shards), /^2 of 5, 8 rows each; 2 more were removed once they were read/);
});

test("the screen is one screen", async () => {
  const store = await triples();
  const { results, tables, context } = listening();
  await inspect({ path: store.folder, settings, context });
  const lines = [
    ...Object.values(results).map((values) => Object.keys(values).length),
    ...Object.values(tables).map((rows) => rows.length + 1),
  ];
  assert.ok(lines.reduce((sum, count) => sum + count + 1, 0) <= 48);
  assert.equal(results.health, { all: "nothing unusual was seen" });
  assert.equal(
    tables.channels!.map(({ channel }) => channel),
    ["latent 0", "latent 1", "latent 2", "noise, each"],
  );
  const many = {
    mean: new Array(32).fill(0),
    std: new Array(32).fill(1),
    min: new Array(32).fill(-1),
    max: new Array(32).fill(1),
    nonFinite: 0,
  };
  assert.is(channelTable({ latent: many }).at(-1)!.channel, "latent 6 to 31");
});

test("the tally is exact while it has room, and close beyond", () => {
  const exact = createTally();
  for (let i = 0; i < 1000; i++) exact.add(String(i % 700), i);
  assert.equal(exact.counts(), {
    distinct: 700,
    repeated: 300,
    estimated: false,
    examples: [
      [0, 700],
      [1, 701],
      [2, 702],
      [3, 703],
      [4, 704],
    ],
  });
  const rough = createTally(1024);
  for (let i = 0; i < 30_000; i++) rough.add(String(i % 20_000), i);
  const { distinct, repeated, estimated } = rough.counts();
  assert.ok(estimated);
  assert.ok(Math.abs(distinct / 20_000 - 1) < 0.2 && Math.abs(repeated / 10_000 - 1) < 0.25, `${distinct} ${repeated}`);
});

test("ratios in words", () => {
  assert.equal([3.1, 2, 1.6, 0.5, 0.33, 12.2].map(timesInWords), ["three times", "twice", "1.6 times", "half", "a third of", "12 times"]);
});

test.run();

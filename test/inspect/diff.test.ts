import { inspect } from "../../pipelines/inspect.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { diffStores, largestDifference } from "../../stages/inspect/diff.ts";
import { assert, suite } from "../harness.ts";
import { images, listening, triples } from "./fixture.ts";

const test = suite("diff");
const { signal } = new AbortController();

test("two stores of the same rows in shards of other sizes have the same rows", async () => {
  const [a, b] = [await triples(), await triples({ manifest: { rowsPerShard: 5 } })];
  const { settings, rows, channels } = await diffStores(a, b, { signal });
  assert.equal(settings, [{ setting: "rowsPerShard", A: "8", B: "5" }]);
  assert.equal(rows, { onlyA: 0, onlyB: 0, same: 40, differing: 0, conditions: 0, latents: 0, states: 0, noises: 0, largest: 0 });
  assert.ok(channels.every((channel) => channel["shift in std"] === "0.0000" && channel["std ratio"] === "1.0000"));
});

test("tells rows of one store alone, other conditions, other latents, other seeds, and the shift of a channel", async () => {
  const a = await triples({ change: (row) => (row.id === 2 ? "torn" : row) });
  const b = await triples({
    manifest: { seed: "8", guidance: 3, teacher: { hash: "other" } },
    change: (row) => {
      if (row.id === 4) return "torn";
      if (row.id === 6) return { ...row, label: 2, caption: null };
      if (row.id === 7) return { ...row, latent: row.latent.map((value, i) => (i === 9 ? value + 0.25 : value)) };
      if (row.id === 8) return { ...row, latent: row.latent.map((value, i) => (i === 0 ? Number.NaN : value)) };
      return row.id === 11 ? { ...row, seed: 8n } : row;
    },
  });
  const { results, tables, context } = listening();
  await inspect({ path: a.folder, diff: b.folder, settings: resolveSettings([presetLayer("smoke")]), context });
  assert.equal(tables.settings, [
    { setting: "guidance", A: "1.5", B: "3" },
    { setting: "seed", A: '"7"', B: '"8"' },
    { setting: "teacher.hash", A: '"t0"', B: '"other"' },
  ]);
  assert.equal(results.rows, {
    "only in A": 1,
    "only in B": 1,
    same: 34,
    differing: 4,
    "of another condition": 1,
    "of another latent": 2,
    "of another seed": 1,
    "largest latent difference": Infinity,
  });
  assert.equal(
    tables["first rows that differ"]!.map(({ id, differs }) => [id, differs]),
    [
      [6, "label, caption"],
      [7, "latent"],
      [8, "latent"],
      [11, "seed"],
    ],
  );
  const shifted = await triples({
    change: (row) => ({ ...row, latent: row.latent.map((value, i) => (i % 3 === 2 ? 2 * value + 0.5 : value)) }),
  });
  const { channels } = await diffStores(await triples(), shifted, { signal });
  assert.close(Number(channels[2]!["shift in std"]), 1, 0.02); // 0.5 over 0.5
  assert.close(Number(channels[2]!["std ratio"]), 2, 1e-4);
  assert.is(channels[0]!["shift in std"], "0.0000");
});

test("classes are compared by name, however each store numbers them", async () => {
  const reordered = await triples({
    manifest: { classes: ["owl", "cat", "dog"] },
    change: (row) => ({ ...row, label: (row.label! + 1) % 3 }),
  });
  const { rows } = await diffStores(await triples(), reordered, { signal });
  assert.equal([rows.same, rows.conditions], [40, 0]);
  const renamed = await triples({ manifest: { classes: ["cat", "wolf", "owl"] } });
  assert.is((await diffStores(await triples(), renamed, { signal })).rows.conditions, 13); // every dog of 40 rows
});

test("refuses stores that have nothing to compare", async () => {
  await assert.rejects(diffStores(await triples(), await images(), { signal }), /Cannot compare .*name two stores of one kind and shape/);
});

test("the largest difference sees NaN", () => {
  const of = (...values: number[]) => Float32Array.from(values);
  assert.is(largestDifference(of(1, Number.NaN), of(1, Number.NaN)), 0);
  assert.is(largestDifference(of(1, Number.NaN), of(1, 2)), Infinity);
  assert.is(largestDifference(of(1, 5), of(1.5, 5)), 0.5);
});

test.run();

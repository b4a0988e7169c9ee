/** Stores with the teacher's states: what is said of them, drawn, compared and exported. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exportStore } from "../../pipelines/export.ts";
import { inspect } from "../../pipelines/inspect.ts";
import { merge } from "../../pipelines/merge.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { sharp } from "../../schemas/sharp.ts";
import { healthOf } from "../../stages/inspect/health.ts";
import { redoRow } from "../../stages/inspect/provenance.ts";
import { surveyStore } from "../../stages/inspect/survey.ts";
import type { TripleRow } from "../../store/format/columns.ts";
import { noiseOf, openTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, settingsOf, writeRun } from "../simulate/fixture.ts";
import { freshFolder, healthyRow, length, listening, triples } from "./fixture.ts";

const test = suite("inspect a trajectory");
const settings = resolveSettings([presetLayer("smoke")]);
const sigmas = [80, 10, 1];
const manifest = { solver: { name: "heun", steps: 18 }, trajectory: { steps: [0, 6, 12], sigmas } };

/** States on straight lines from noise to latent, x = latent + sigma noise. */
function withStates(row: TripleRow, change = (_id: number, _step: number, state: Float32Array) => state): TripleRow {
  const noise = noiseOf({ seed: 7n, id: row.id }, length);
  const of = (step: number, sigma: number) =>
    change(
      row.id,
      step,
      row.latent.map((value, i) => value + sigma * noise[i]!),
    );
  return { ...row, state6: of(6, 10), state12: of(12, 1) };
}
const signal = new AbortController().signal;

test("the columns are named with their levels, and their figures are those of a plain sum", async () => {
  const store = await triples({ manifest, change: (row) => withStates(row) });
  const { results, tables, context } = listening();
  await inspect({ path: store.folder, settings, context });
  assert.is(results[store.folder]!.trajectory, "noise times its sigma (sigma 80), state6 (sigma 10), state12 (sigma 1)");
  assert.equal(results.health, { all: "nothing unusual was seen" });
  const line = tables.channels!.find(({ channel }) => channel === "state6, each")!;
  const values = Array.from({ length: 40 }, (_, id) => [...withStates(healthyRow(id)).state6!]).flat();
  assert.is(line.max, Math.max(...values).toFixed(3));
  assert.equal(
    [line.std, line.mean].map((span) => /^-?\d+\.\d{3} to -?\d+\.\d{3}$/.test(String(span))),
    [true, true],
  );
  const { results: why, context: asked } = listening();
  await inspect({ path: store.folder, why: 3, settings, context: asked });
  assert.match(String(why["row 3"]!.trajectory), /state6 \(sigma 10\)/);
});

test("health tells of norms that do not fall, and from where to where", async () => {
  const grown = (id: number, step: number, state: Float32Array) =>
    step === 12 && id % 4 === 1 ? state.map((value) => value * 20) : step === 6 && id === 2 ? state.map((value) => value * 12) : state;
  const store = await triples({ manifest, change: (row) => withStates(row, grown) });
  const seen = await surveyStore(store, { signal });
  assert.equal(seen.course!.rises, [
    { from: "noise", to: "state6", rows: 1, id: 2 },
    { from: "state6", to: "state12", rows: 10, id: 1 },
  ]);
  assert.match(healthOf(store.manifest, seen).trajectory!, /^the norm of 10 rows \(25 %\) rises from state6 to state12, .* row 1, and try/);
  const high = await triples({ manifest, change: (row) => ({ ...withStates(row), latent: row.latent.map((value) => 4 * value) }) });
  assert.match(healthOf(high.manifest, await surveyStore(high, { signal })).trajectory!, /^the norm of 40 rows .* from state12 to latent/);
});

test("the grid shows noise, states and image in a line, value for value", async () => {
  const store = await triples({ manifest, change: (row) => withStates(row) });
  const folder = freshFolder();
  mkdirSync(folder);
  const grid = join(folder, "grid.png");
  await inspect({ path: store.folder, grid, limit: 3, settings, context: listening().context });
  const { data, info } = await sharp(grid).raw().toBuffer({ resolveWithObject: true });
  assert.is(info.width, 2 + 3 * (2 * 35 + 2)); // four pictures of 8 px with lines between, twice enlarged
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3)];
  const shade = (values: Iterable<number>) => [...values].map((value) => Math.min(255, Math.max(0, 127.5 * (1 + value))));
  for (const id of [0, 1, 2]) {
    const left = 2 + id * 72;
    const row = withStates(healthyRow(id));
    const scaled = (values: Float32Array, sigma: number) => values.subarray(0, 3).map((value) => (value * 0.5) / Math.hypot(0.5, sigma));
    assert.close(
      at(left, 2),
      shade(
        noiseOf({ seed: 7n, id }, length)
          .subarray(0, 3)
          .map((value) => value / 3),
      ),
      0.51,
    );
    assert.close(at(left + 18, 2), shade(scaled(row.state6!, 10)), 0.51);
    assert.close(at(left + 36, 2), shade(scaled(row.state12!, 1)), 0.51);
    assert.close(at(left + 54, 2), shade(row.latent.subarray(0, 3)), 0.51);
    for (const line of [16, 34, 52]) assert.equal(at(left + line, 2), [255, 255, 255]);
  }
});

test("stores that differ in a state alone are told apart; merging keeps the columns", async () => {
  const store = await triples({ manifest, change: (row) => withStates(row) });
  const other = await triples({
    manifest,
    change: (row) => withStates(row, (id, step, state) => (id === 9 && step === 12 ? state.map((value) => value / 2) : state)),
  });
  const { results, tables, context } = listening();
  await inspect({ path: store.folder, diff: other.folder, settings, context });
  assert.equal([results.rows!.differing, results.rows!["of another state"], results.rows!["of another latent"]], [1, 1, 0]);
  assert.equal(tables["first rows that differ"], [{ id: 9, differs: "states", "largest latent difference": 0 }]);
  const merged = freshFolder();
  await merge({ stores: [store.folder], out: merged, context: listening().context });
  const shards = (folder: string) => Object.entries(contentsOf(folder)).filter(([name]) => name.startsWith("shards/"));
  assert.equal(shards(merged), shards(store.folder));
});

test("exports have the states as tensors", async () => {
  const store = await triples({ manifest: { ...manifest, dtype: "float16" }, change: (row) => withStates(row) });
  const out = freshFolder();
  await exportStore({ path: store.folder, format: "npy", out, context: listening().context });
  const bytes = readFileSync(join(out, "state12.npy"));
  assert.match(bytes.subarray(0, 128).toString("latin1"), /'<f2'.*\(40, 8, 8, 3\)/);
  const said = JSON.parse(readFileSync(join(out, "export.json"), "utf8"));
  assert.equal(said.manifest.trajectory, manifest.trajectory);
});

test("a row is computed again with its states", async () => {
  const teacher = await writeRun();
  const out = freshFolder();
  const given = settingsOf({ count: 5, trajectory: [0, 2] });
  await simulate({ teacher, out, settings: given, context: contextOf() });
  const store = await openTripleStore({ folder: out });
  const version = String(store.manifest.engine.version);
  const facts = await redoRow({ store, id: 3, teacher, engine: given.engine, version, context: contextOf() });
  assert.equal([facts["largest difference"], facts.verdict], [0, "the same to the last bit"]);
});

test.run();

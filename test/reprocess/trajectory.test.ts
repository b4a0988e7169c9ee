/** States on the way are dropped and thinned without the teacher, and added with it, byte by byte as a fresh run makes them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { reprocess } from "../../pipelines/reprocess.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { readShard, writeShard } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { createTripleStore, openTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, emptyLatents, fillLatents, freshFolder, settingsOf, writeRun } from "../simulate/fixture.ts";

const test = suite("reprocess of trajectories");
type Changes = Parameters<typeof settingsOf>[0];

let teacher: string;
let latents: string;
let bare: string; // 18 triples in shards of 8, batches of 4
let whole: string; // the same with states
const size = { count: 18 };
test.before(async () => {
  teacher = await writeRun();
  const store = await emptyLatents();
  await fillLatents(store);
  latents = store.folder;
  bare = await fresh({});
  whole = await fresh({ trajectory: [0, 1, 2] });
});

const stores = new Map<string, Promise<string>>();
/** A store that `simulate` makes with these settings, once each. */
function fresh(changes: Changes): Promise<string> {
  const key = JSON.stringify(changes);
  const make = async (): Promise<string> => {
    const out = freshFolder();
    await simulate({ teacher, conditions: latents, out, settings: settingsOf({ ...size, ...changes }), context: contextOf() });
    return out;
  };
  if (!stores.has(key)) stores.set(key, make());
  return stores.get(key) as Promise<string>;
}

async function remade(path: string, changes: Changes, options: { teacher?: string; to?: string } = {}) {
  const to = options.to ?? freshFolder();
  const events: PipelineEvent[] = [];
  const context = contextOf((event) => events.push(event));
  await reprocess({ path, ...options, to, settings: settingsOf({ ...size, ...changes }), context });
  const plan = events.find((event) => event.type === "result" && event.stage === "plan") as { values: Record<string, unknown> };
  return { to, files: contentsOf(to), simulated: plan.values["rows simulated"] };
}

const half: Changes = { trajectory: [0, 2], dtype: "float16", noise: "stored", rowsPerShard: 12 };
const thinned: Record<string, Changes> = { "all dropped": {}, "one kept": { trajectory: [2] }, "halves, cut otherwise": half };
for (const [what, changes] of Object.entries(thinned)) {
  test(`states are dropped and thinned without the teacher: ${what}`, async () => {
    const { files, simulated } = await remade(whole, changes);
    assert.is(simulated, "0");
    assert.equal(files, contentsOf(await fresh(changes)));
  });
}

test("the state before step 0 is the noise: it is added without the teacher", async () => {
  const { files, simulated } = await remade(bare, { trajectory: [0] });
  assert.is(simulated, "0");
  assert.equal(files, contentsOf(await fresh({ trajectory: [0] })));
});

test("states are added with the teacher alone, to the bytes of a fresh run, and a stop changes nothing", async () => {
  await assert.rejects(remade(bare, { trajectory: [0, 1, 2] }), /Cannot make 18 rows of .* alone: they must be simulated.*--teacher/);
  const to = freshFolder();
  const settings = settingsOf({ ...size, trajectory: [0, 1, 2] });
  const context = contextOf((event) => event.type === "progress" && event.done > 9 && context.controller.abort(new Error("stop")));
  await assert.rejects(reprocess({ path: bare, to, teacher, settings, context }), /stop/);
  assert.not(existsSync(join(to, "summary.json")));
  const { files } = await remade(bare, { trajectory: [0, 1, 2] }, { teacher, to });
  assert.equal(files, contentsOf(whole));
});

test("another guidance makes the states again too", async () => {
  const changes = { trajectory: [1], guidance: 3 };
  const { files, simulated } = await remade(whole, changes, { teacher });
  assert.is(simulated, "18 (guidance)");
  assert.equal(files, contentsOf(await fresh(changes)));
});

test("latents that do not come out again are refused by row, whichever version says that it made them", async () => {
  for (const version of ["0.0.1", undefined]) {
    const store = await openTripleStore({ folder: bare });
    const { format: _, version: __, kind: ___, ...manifest } = store.manifest;
    const engine = version === undefined ? manifest.engine : { ...manifest.engine, version };
    const altered = await createTripleStore({ folder: freshFolder(), manifest: { ...manifest, engine } });
    for (let shard = 0; shard < store.shards; shard++) {
      const rows = (await readShard(store, shard)).map((row) => ({ ...row, latent: row.latent.slice() }));
      for (const row of rows) if (row.id === 13) row.latent[7]! += 1e-6;
      await writeShard(altered, { shard, rows });
    }
    await sealStore(altered);
    await assert.rejects(
      remade(altered.folder, { trajectory: [1] }, { teacher }),
      /Cannot add states to the rows for .*: the latent of row 13 does not come out as it is stored.*pipeline simulate --trajectory/,
    );
  }
});

test("the command line keeps, thins and drops what the store's own settings say", async () => {
  for (const [flags, trajectory] of [
    [[], [0, 1, 2]],
    [
      ["--trajectory", "0,2"],
      [0, 2],
    ],
    [["--trajectory", "none"], undefined],
  ] as const) {
    const to = freshFolder();
    const line = ["reprocess", whole, "--to", to, "--set", "simulate.dtype=float16", ...flags];
    const { code, said } = await commandLine(line);
    assert.is(code, 0, said);
    const changes: Changes = { dtype: "float16", ...(trajectory && { trajectory: [...trajectory] }) };
    assert.equal(contentsOf(to), (await remade(whole, changes)).files);
  }
});

test.run();

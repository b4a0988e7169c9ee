/** A reprocessed store is, byte by byte, the one that a fresh run with the changed settings makes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { reprocess } from "../../pipelines/reprocess.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { manifestText, upgrades } from "../../schemas/manifest.ts";
import { idRange, openStore, writeShard } from "../../store/shards/store.ts";
import { encodePng } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, emptyLatents, fillLatents, freshFolder, settingsOf, writeRun } from "../simulate/fixture.ts";

const test = suite("reprocess");
type Changes = Parameters<typeof settingsOf>[0];

let teacher: string;
let latents: string;
let source: string; // 26 triples in shards of 8, batches of 4
let before: Record<string, string>;
test.before(async () => {
  teacher = await writeRun();
  const store = await emptyLatents();
  await fillLatents(store);
  latents = store.folder;
  source = freshFolder();
  await simulate({ teacher, conditions: latents, out: source, settings: settingsOf(), context: contextOf() });
  before = contentsOf(source);
});
test.after(() => assert.equal(contentsOf(source), before, "the source store was touched"));

async function fresh(changes: Changes, conditions = latents): Promise<Record<string, string>> {
  const out = freshFolder();
  await simulate({ teacher, conditions, out, settings: settingsOf(changes), context: contextOf() });
  return contentsOf(out);
}

/** Reprocesses the source; answers the new store's files and the plan. */
async function remade(changes: Changes, options: { teacher?: string; conditions?: string; to?: string } = {}) {
  const to = options.to ?? freshFolder();
  const events: PipelineEvent[] = [];
  const context = contextOf((event) => events.push(event));
  await reprocess({ path: source, ...options, to, settings: settingsOf(changes), context });
  const plan = events.find((event) => event.type === "result" && event.stage === "plan") as { values: Record<string, unknown> };
  return { files: contentsOf(to), simulated: plan.values["rows simulated"] };
}

test("noise, shard size and half floats are rewritten without the teacher", async () => {
  for (const changes of [{ noise: "stored", rowsPerShard: 12 }, { dtype: "float16" }] as const) {
    const { files, simulated } = await remade(changes);
    assert.is(simulated, "0");
    assert.equal(files, await fresh(changes));
  }
  const same = await remade({});
  assert.equal(same.files, before);
});

test("another guidance simulates again, with the conditions that the rows have", async () => {
  const changes = { guidance: 3 };
  await assert.rejects(
    remade(changes),
    /Cannot make 26 rows of .* alone: they must be simulated. Name the RUN of the teacher with --teacher/,
  );
  const { files, simulated } = await remade(changes, { teacher });
  assert.is(simulated, "26 (guidance)");
  assert.equal(files, await fresh(changes));
});

test("more triples simulate those alone, and need to know their conditions", async () => {
  const changes = { count: 45 };
  await assert.rejects(remade(changes, { teacher }), /Cannot tell the condition of row 26 .*: --conditions LATENTS/);
  const { files, simulated } = await remade(changes, { teacher, conditions: latents });
  assert.is(simulated, "21"); // rows 24 and 25 share a batch with new ones: 26 to 44, and those two
  assert.equal(files, await fresh(changes));
});

test("rows that would come to another place in their batch are simulated again; fewer rows are only cut", async () => {
  const changes = { rowsPerShard: 6 };
  const { files, simulated } = await remade(changes, { teacher });
  assert.is(simulated, "12");
  assert.equal(files, await fresh(changes));
  const fewer = await remade({ count: 16 });
  assert.is(fewer.simulated, "0");
  assert.equal(fewer.files, await fresh({ count: 16 }));
});

test("other conditions simulate only the rows whose condition changed", async () => {
  const other = await emptyLatents();
  await fillLatents(other, [0, 1, 2]);
  for (const shard of [3, 4]) {
    // every image accepted, so rows shift from here on
    const { from, to } = idRange(other.manifest, shard);
    const rows = Array.from({ length: to - from }, (_, i) => ({
      index: from + i,
      name: `${from + i}.png`,
      label: (from + i) % 3,
      latent: new Float32Array(192),
    }));
    await writeShard(other, { shard, rows });
  }
  // The manifest does not tell the two apart, as other images would: the rows do.
  const { files } = await remade({}, { teacher, conditions: other.folder });
  assert.equal(files, await fresh({}, other.folder));
  assert.not.equal(files["shards/000002.parquet"], before["shards/000002.parquet"]);
});

test("half floats do not come back, and are simulated", async () => {
  const half = freshFolder();
  await remade({ dtype: "float16" }, { to: half });
  const to = freshFolder();
  const request = { path: half, to, settings: settingsOf(), context: contextOf() };
  await assert.rejects(reprocess(request), /must be simulated/);
  await reprocess({ ...request, teacher });
  assert.equal(contentsOf(to), before);
});

test("stopped and gone on with; a dry run writes nothing; never into itself", async () => {
  const to = freshFolder();
  const settings = settingsOf({ guidance: 3 });
  await reprocess({ path: source, to, teacher, dryRun: true, settings, context: contextOf() });
  assert.not(existsSync(to));
  const context = contextOf((event) => event.type === "progress" && event.done > 9 && context.controller.abort(new Error("stop")));
  await assert.rejects(reprocess({ path: source, to, teacher, settings, context }), /stop/);
  assert.not(existsSync(join(to, "summary.json")));
  await reprocess({ path: source, to, teacher, settings, context: contextOf() });
  assert.equal(contentsOf(to), await fresh({ guidance: 3 }));
  const itself = reprocess({ path: source, to: `${source}/`, settings, context: contextOf() });
  await assert.rejects(itself, /Cannot reprocess .* into itself/);
});

test("the command line takes the store's own settings and changes what is asked", async () => {
  const to = freshFolder();
  const { code, said } = await commandLine(["reprocess", source, "--to", to, "--set", "simulate.dtype=float16"]);
  assert.is(code, 0, said);
  assert.match(said, /rows taken over\s+26/);
  assert.equal(contentsOf(to), (await remade({ dtype: "float16" })).files);
});

test("latents: shards cut otherwise are rewritten, another size or encoder takes the same images", async () => {
  const images = freshFolder();
  mkdirSync(images);
  const png = (i: number) => encodePng({ width: 12, height: 10, samples: Uint8Array.from({ length: 360 }, (_, k) => 20 * i + (k % 13)) });
  for (let i = 0; i < 11; i++) writeFileSync(join(images, `${i}.png`), i === 4 ? "torn" : png(i));
  const base = settingsSchema.parse({ seed: 2, images: { size: 8 }, encoder: { rowsPerShard: 3 }, engine: { threads: 1 } });
  const ingested = async (settings: Settings) => {
    const out = freshFolder();
    await ingest({ images: [images], out, settings, context: contextOf() });
    return out;
  };
  const path = await ingested(base);
  const untouched = contentsOf(path);
  const into = async (settings: Settings, from: string[] = []) => {
    const to = freshFolder();
    await reprocess({ path, to, images: from, settings, context: contextOf() });
    return contentsOf(to);
  };
  const cut = { ...base, encoder: { ...base.encoder, rowsPerShard: 5 } };
  assert.equal(await into(cut), contentsOf(await ingested(cut)));
  const larger = { ...base, images: { ...base.images, size: 16 } };
  await assert.rejects(into(larger), /its images must be encoded again \(imageSize, shape\). Name the images after the store/);
  assert.equal(await into(larger, [images]), contentsOf(await ingested(larger)));
  writeFileSync(join(images, "11.png"), png(3));
  await assert.rejects(into(larger, [images]), /they are not the images of .*, or have changed since/);
  assert.equal(contentsOf(path), untouched);
});

test("an older version is read through its upgrade (a made-up one: there is none yet) and reprocessed to today's", async () => {
  const folder = freshFolder();
  await assert.rejects(openStore({ folder: writeVersion0(folder, {}) }), /it has format version 0, which this program does not know/);
  upgrades[0] = ({ note: _, ...content }) => content;
  try {
    const store = await openStore({ folder });
    assert.is(store.manifest.version, 1);
    assert.not("note" in store.manifest);
    await assert.rejects(
      simulate({ teacher, conditions: latents, out: folder, settings: settingsOf(), context: contextOf() }),
      /it was made with other settings \(an older format: pipeline reprocess upgrades it\)/,
    );
    const to = freshFolder();
    await reprocess({ path: folder, to, teacher, conditions: latents, settings: settingsOf(), context: contextOf() });
    assert.equal(contentsOf(to), before);
  } finally {
    delete upgrades[0];
  }
});

/** An unfinished store whose description says version 0 and has one key more. */
function writeVersion0(folder: string, extra: object): string {
  mkdirSync(join(folder, "shards"), { recursive: true });
  const { fingerprint: _, ...content } = JSON.parse(readFileSync(join(source, "store.json"), "utf8"));
  writeFileSync(join(folder, "store.json"), manifestText({ ...content, ...extra, version: 0, note: "of version 0" }));
  return folder;
}

test.run();

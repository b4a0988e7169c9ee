import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { simulate } from "../../pipelines/simulate.ts";
import { openTripleStore, readTriples } from "../../store/rows/triples.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import {
  CAPTIONS,
  contentsOf,
  contextOf,
  emptyLatents,
  fillLatents,
  freshFolder,
  imageOf,
  settingsOf,
  STATISTICS,
  writeRun,
} from "./fixture.ts";

const test = suite("simulate");

let teacher: string;
let unbroken: string;

test.before(async () => {
  teacher = await writeRun();
  unbroken = freshFolder();
  await simulate({ teacher, out: unbroken, settings: settingsOf(), context: contextOf() });
});

async function rowsOf(folder: string) {
  const store = await openTripleStore({ folder });
  const shards = [];
  for (let shard = 0; shard < store.shards; shard++) shards.push(await readTriples(store, shard));
  return shards.flat();
}

test("the store is sound, and says what made it", async () => {
  const store = await openTripleStore({ folder: unbroken });
  assert.equal(await verifyStore(store), []);
  const { entries, guidance, solver, teacher: made, conditions, seed, classes } = store.manifest;
  assert.equal(
    { entries, guidance, solver, seed, classes },
    { entries: 26, guidance: 1.5, solver: { name: "heun", steps: 3 }, seed: "5", classes: ["cat", "dog", "owl"] },
  );
  assert.equal(made.statistics, STATISTICS);
  assert.equal(conditions, { source: "classes" });
  const rows = await rowsOf(unbroken);
  assert.equal(
    rows.map(({ id }) => id),
    Array.from({ length: 26 }, (_, i) => i),
  );
  assert.equal(
    rows.map(({ label }) => label),
    Array.from({ length: 26 }, (_, i) => i % 3),
  );
});

test("a finished store is left as it is", async () => {
  const before = contentsOf(unbroken);
  await simulate({ teacher, out: unbroken, settings: settingsOf(), context: contextOf() });
  assert.equal(contentsOf(unbroken), before);
});

test("stopped and gone on with, the bytes are the same", async () => {
  const out = freshFolder();
  const context = contextOf((event) => event.type === "progress" && event.done > 8 && context.controller.abort(new Error("stop")));
  await assert.rejects(simulate({ teacher, out, settings: settingsOf(), context }), /stop/);
  assert.not(existsSync(join(out, "summary.json")));
  assert.equal(await verifyStore(await openTripleStore({ folder: out })), []);
  await simulate({ teacher, out, settings: settingsOf(), context: contextOf() });
  assert.equal(contentsOf(out), contentsOf(unbroken));
});

test(
  "killed in the middle and gone on with, the bytes are the same",
  async () => {
    const out = freshFolder();
    const script = fileURLToPath(new URL("killed.ts", import.meta.url));
    const child = spawn(process.execPath, [...scriptWords(script), teacher, out, "5"], { stdio: ["ignore", "inherit", "inherit"] });
    assert.equal(await once(child, "close"), [null, "SIGKILL"]);
    await simulate({ teacher, out, settings: settingsOf(), context: contextOf() });
    assert.equal(contentsOf(out), contentsOf(unbroken));
  },
  { seconds: 60 },
);

test("another guidance into the same folder is refused by name, a student as a teacher too", async () => {
  const other = simulate({ teacher, out: unbroken, settings: settingsOf({ guidance: 2 }), context: contextOf() });
  await assert.rejects(other, /guidance: 1.5 instead of 2/);
  const student = await writeRun({ role: "student" });
  const wrong = simulate({ teacher: student, out: freshFolder(), settings: settingsOf(), context: contextOf() });
  await assert.rejects(wrong, /it holds a student/);
});

test("stored noise and another count give the same triples; another guidance does not", async () => {
  const of = async (changes: Parameters<typeof settingsOf>[0]) => {
    const out = freshFolder();
    await simulate({ teacher, out, settings: settingsOf({ count: 8, ...changes }), context: contextOf() });
    return rowsOf(out);
  };
  const rows = (await rowsOf(unbroken)).slice(0, 8);
  assert.equal(await of({ noise: "stored" }), rows);
  assert.not.equal((await of({ guidance: 4 }))[0]?.latent, rows[0]?.latent);
});

test("conditions of images land in the rows in order and over again; a growing store gives the same bytes", async () => {
  const finished = await emptyLatents();
  await fillLatents(finished);
  const fromFinished = freshFolder();
  await simulate({ teacher, conditions: finished.folder, out: fromFinished, settings: settingsOf(), context: contextOf() });
  const accepted = Array.from({ length: 20 }, (_, i) => i).filter((i) => imageOf(i));
  for (const { id, imageIndex, label, caption } of await rowsOf(fromFinished)) {
    const index = accepted[id % accepted.length] as number;
    assert.equal([imageIndex, label, caption ?? null], [index, imageOf(index)?.label, null]);
  }

  const growing = await emptyLatents();
  const fromGrowing = freshFolder();
  await fillLatents(growing, [1]);
  const waits: string[] = [];
  const context = contextOf((event) => {
    if (event.type !== "note") return;
    waits.push(event.message);
    void fillLatents(growing, [Number(/shard (\d)/.exec(event.message)?.[1])]);
  });
  await simulate({ teacher, conditions: growing.folder, out: fromGrowing, settings: settingsOf(), context });
  assert.equal(contentsOf(fromGrowing), contentsOf(fromFinished));
  assert.equal(
    waits.map((text) => text.slice(0, 36)),
    [0, 2, 3, 4].map((shard) => `waiting for ingest to write shard ${shard} `),
  );
});

test("classes that are not the teacher's are refused", async () => {
  const { folder } = await emptyLatents(["cat", "dog"]);
  const wrong = simulate({ teacher, conditions: folder, out: freshFolder(), settings: settingsOf(), context: contextOf() });
  await assert.rejects(wrong, /its classes \(cat, dog\) are not the teacher's \(cat, dog, owl\)/);
  const turned = await emptyLatents(["dog", "cat", "owl"]);
  const inTurn = simulate({ teacher, conditions: turned.folder, out: freshFolder(), settings: settingsOf(), context: contextOf() });
  await assert.rejects(inTurn, /its classes \(dog, cat, owl\) are not the teacher's \(cat, dog, owl\)/);
});

test("captions are drawn from the teacher's own, or come from the images, and matter", async () => {
  const captioned = await writeRun({ condition: "caption" });
  const settings = settingsOf({}, "caption");
  const [own, given] = [freshFolder(), freshFolder()];
  await simulate({ teacher: captioned, out: own, settings, context: contextOf() });
  const rows = await rowsOf(own);
  assert.ok(rows.every(({ caption }) => CAPTIONS.includes(caption ?? "")));
  assert.ok(new Set(rows.map(({ caption }) => caption)).size > 2);
  const latents = await emptyLatents();
  await fillLatents(latents);
  await simulate({ teacher: captioned, conditions: latents.folder, out: given, settings, context: contextOf() });
  const others = await rowsOf(given);
  for (const { imageIndex, label, caption } of others) {
    assert.equal([label ?? null, caption], [null, imageOf(imageIndex as number)?.caption]);
  }
  const [same, different] = [true, false].map((alike) => rows.findIndex((row, i) => (row.caption === others[i]?.caption) === alike)) as [
    number,
    number,
  ];
  assert.ok(same >= 0 && different >= 0);
  assert.equal(rows[same]?.latent, others[same]?.latent);
  assert.not.equal(rows[different]?.latent, others[different]?.latent);
});

test("a network of zeros gives the exact solution of its ODE", async () => {
  // F = 0 makes the EDM denoiser c_skip x, the score of N(0, sd^2): x(0) = x(T) sd / sqrt(sd^2 + T^2).
  const zero = await writeRun({ weights: "zero", condition: "none" });
  const out = freshFolder();
  await simulate({ teacher: zero, out, settings: settingsOf({ steps: 40, guidance: 1, count: 5 }, "none"), context: contextOf() });
  const [sd, top] = [0.5, 80];
  const scale = (top * sd) / Math.sqrt(sd ** 2 + top ** 2);
  const rows = await rowsOf(out);
  assert.is(rows.length, 5);
  for (const { noise, latent } of rows) {
    latent.forEach((value, i) => assert.close(value, scale * (noise[i] as number), 0.01 * Math.abs(value) + 1e-6));
  }
});

test.run();

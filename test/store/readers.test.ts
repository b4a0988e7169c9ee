/** Stores that are read while they are made: simulation stays near its readers, and what all have read may go. */
import { setTimeout } from "node:timers/promises";
import { verify } from "../../pipelines/verify.ts";
import { rowBatches } from "../../store/rows/batches.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { filesAt } from "../../store/places/files.ts";
import { waitForShard } from "../../store/rows/follow.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { type LeadWait, nearReaders } from "../../store/making/lead.ts";
import { mendStore } from "../../store/making/mend.ts";
import { hasShard } from "../../store/records/present.ts";
import { askToRegister, forgetReader, keptFor, openReader, readersOf } from "../../store/shards/readers.ts";
import { removeRead } from "../../store/shards/removed.ts";
import { missingShards, openStore, presentShards } from "../../store/shards/store.ts";
import { sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { noBucket, startBucket } from "./bucket-server.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("readers");
const reason = noBucket();
if (!reason) await startBucket();
process.env.ONESTEP_CACHE = "off";
let urls = 0;
const places: [name: string, fresh: () => string][] = [
  ["a folder", freshFolder],
  ["a bucket", () => `s3://bucket/readers-${urls++}`],
];
const fails = (id: number): boolean => id % 11 === 3;

for (const [name, fresh] of places) {
  if (name === "a bucket" && reason) {
    test.skip(name, reason);
    continue;
  }

  test(`${name} loses what all readers' checkpoints have passed, and is sealed and verified as one that kept it`, async () => {
    const whole = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
    await fill(whole, fails);
    await sealStore(whole);
    const expected = contentsOf(whole.folder);

    const store = await createLatentStore({ folder: fresh(), manifest: latentManifest() });
    const files = filesAt(store.folder);
    const at = (path: string): string => `${store.folder}/${path}`;
    const hex = async (path: string): Promise<string> => Buffer.from((await files.read(at(path))) ?? []).toString("hex");
    for (const shard of [0, 1, 2, 3]) await fillShard(store, shard, fails);
    const [fast, slow] = ["a1", "b2"].map((name) => openReader(store, { name, pinned: 1, from: 0 }));
    await fast!.passed(3);
    assert.equal(await readersOf(store), []); // nobody asked for that
    await askToRegister(store, "unread");
    await fast!.passed(3);
    await slow!.asks(4);
    assert.is(await removeRead(store), 0);
    await slow!.passed(2);
    assert.equal(await keptFor(store), { from: 1, to: 2 });
    assert.is(await removeRead(store), 1);
    assert.equal(await presentShards(store), [0, 2, 3]);
    assert.equal(await missingShards(store), [4, 5, 6]);
    assert.is(await hasShard(store, 1), true);
    assert.equal(await verifyStore(await openStore({ folder: store.folder })), []);
    await assert.rejects(waitForShard(store, 1), /shard 1 .*: it was removed once the trainings of then had read it/);

    const again = await createLatentStore({ folder: store.folder, manifest: latentManifest() });
    for (const shard of await missingShards(again)) await fillShard(again, shard, fails);
    await sealStore(again);
    for (const path of ["journal.jsonl", "summary.json", "quarantine/000001.jsonl"]) assert.is(await hex(path), expected[path], path);
    assert.equal(await verifyStore(again), []);

    await files.replace(at("journal.jsonl"), "torn");
    assert.equal(await mendStore(again), []);
    assert.is(await hex("journal.jsonl"), expected["journal.jsonl"]);

    await files.remove(at("shards/000003.parquet"));
    const [lost] = await verifyStore(again);
    assert.match(`${lost?.file}: ${lost?.problem}`, /000003.parquet: it is missing from a finished store/);
    await fillShard(again, 3, fails);
    const record = at("removed/000001.json");
    const kept = Buffer.from((await files.read(record))!);
    for (const [text, problem] of [
      [kept.toString().replace('"rows":7', '"rows":8'), "it is damaged"],
      ["", "it is damaged"],
    ] as const) {
      assert.not(text === kept.toString());
      await files.replace(record, text);
      assert.equal(
        (await verifyStore(again)).map(({ file, problem }) => `${file}: ${problem}`),
        [`removed/000001.json: ${problem}`],
      );
    }
    again.remade.add(1);
    await fillShard(again, 1, fails); // as its remedy says
    await sealStore(again);
    assert.equal(await verifyStore(again), []);
    assert.is(await hex("shards/000001.parquet"), expected["shards/000001.parquet"]);
  });

  test(`what is made in ${name} stays near the slowest reader, and all of it is made`, async () => {
    const store = await createLatentStore({ folder: fresh(), manifest: latentManifest() });
    await askToRegister(store, "all");
    const given: number[] = [];
    const waits: number[] = [];
    const made = (async () => {
      const near = { own: [0, 2, 4, 6], lead: 2, others: { part: "1/2", isMine: (shard: number) => shard % 2 === 0 } };
      for await (const shard of nearReaders(store, { ...near, onWait: ({ shard }) => void waits.push(shard) })) {
        given.push(shard);
        await fillShard(store, shard);
      }
    })();
    const until = async (shards: number[]): Promise<void> => {
      while (given.length < shards.length) await setTimeout(25);
      await setTimeout(300);
      assert.equal([...given].sort(), shards);
    };
    await until([0, 1]); // 1 is another's, which its maker has left: without it no reader would go on
    const fast = openReader(store, { name: "a1", pinned: 0, from: 0 });
    const slow = openReader(store, { name: "b2", pinned: 0, from: 0 });
    await slow.asks(1);
    await fast.asks(7);
    await until([0, 1, 2]);
    await slow.asks(4);
    await until([0, 1, 2, 3, 4, 5]);
    await slow.asks(5);
    await made;
    assert.equal([...given].sort(), [0, 1, 2, 3, 4, 5, 6]);
    assert.ok(waits.length > 0);
  });
}

test("once all who read have ended nothing more is made: the maker ends, or waits for another training, and says so", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await askToRegister(store, "all");
  const open = (name: string) => openReader(store, { name, pinned: 1, from: 0 });
  /** What one maker does. When it waits for the next name, and what happened before has come to an end, the next thing happens. */
  const made = async (events: [name: string, () => unknown][], how: Partial<Parameters<typeof nearReaders>[1]> = {}) => {
    const own = await missingShards(store);
    const told = { given: [] as number[], over: [] as string[] };
    const named = ({ slowest, ended }: Partial<Pick<LeadWait, "slowest" | "ended">>): string =>
      slowest?.name ?? ended!.map(({ name }) => `${name} has ended`).join();
    let isHappening = false;
    const onWait = (wait: LeadWait): void => {
      const [[name, happens] = []] = events;
      if (isHappening || name !== named(wait)) return;
      events.shift();
      isHappening = true;
      void Promise.resolve(happens?.()).then(() => (isHappening = false));
    };
    const onOver = (over: Pick<LeadWait, "ended" | "isClosed">): void => void told.over.push(`${named(over)}, closed: ${over.isClosed}`);
    try {
      for await (const shard of nearReaders(store, { own, lead: 1, onWait, onOver, ...how })) {
        told.given.push(shard);
        await fillShard(store, shard);
      }
    } catch (error) {
      if (!how.signal?.aborted) throw error;
      told.over.push(String(error));
    }
    assert.equal(events, []);
    return told;
  };
  const stopping = () => {
    const controller = new AbortController();
    return { signal: controller.signal, stop: (): void => controller.abort("stopped") };
  };

  const early = stopping(); // before any has registered it waits, however long
  const before = await made([...Array.from({ length: 3 }, (): ["", () => void] => ["", () => {}]), ["", early.stop]], {
    grace: 0,
    signal: early.signal,
  });
  assert.equal(before, { given: [0], over: ["stopped"] });

  const a1 = open("a1");
  await a1.asks(2);
  const first = await made([["a1", a1.ends]], { grace: 0 });
  assert.equal(first, { given: [1, 2], over: ["a1 has ended, closed: false"] });

  const late = stopping(); // another begins while the maker looks for one; it is killed, and forgotten
  const others: Parameters<typeof made>[0] = [
    ["a1 has ended", () => open("b2").asks(3)],
    ["b2", () => forgetReader(store, "b2")],
    ["a1 has ended", late.stop],
  ];
  assert.equal(await made(others, { grace: 600, signal: late.signal }), { given: [3], over: ["stopped"] });

  let isReading = true; // a run knows when its own training is over, whatever the files say of a training before it
  const again = open("a1");
  const run: Parameters<typeof made>[0] = [
    ["a1 has ended", () => again.asks(4)],
    ["a1", again.ends],
    ["a1 has ended", () => (isReading = false)],
  ];
  const third = await made(run, { isReading: () => isReading, grace: 0 });
  assert.equal(third, { given: [4], over: ["a1 has ended, closed: false"] });

  // Where shards were removed no other can begin: nobody is waited for, though all were forgotten.
  await askToRegister(store, "unread");
  assert.is(await removeRead(store), 4);
  assert.equal(await made([]), { given: [], over: ["a1 has ended, closed: true"] });
  await forgetReader(store, "a1");
  assert.equal(await made([]), { given: [], over: [", closed: true"] });

  for (const shard of await missingShards(store)) await fillShard(store, shard); // as without a lead
  assert.is((await sealStore(store)).shards, 7);
  assert.equal(await made([]), { given: [], over: [] });
});

test("a reader that is started again keeps its name and what it said of its checkpoints", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await askToRegister(store, "unread");
  const said = async () => (await readersOf(store))[0]?.reading;
  const reader = openReader(store, { name: "a1", pinned: 1, from: 0 });
  await Promise.all([reader.asks(6), reader.passed(4), reader.asks(5)]);
  assert.equal(await said(), { asked: 6, next: 4, pinned: 1 });
  await openReader(store, { name: "a1", pinned: 1, from: 5 }).asks(6);
  assert.equal(await said(), { asked: 6, next: 4, pinned: 1 }); // it may have to go back to the checkpoint before
  await openReader(store, { name: "a1", pinned: 1, from: 0 }).asks(1);
  assert.equal(await said(), { asked: 1, next: 0, pinned: 1 }); // it begins anew
  await openReader(store, { name: "a1", out: "runs/a", pinned: 1, from: 0 }).asks(1);
  assert.is((await readersOf(store))[0]?.out, "runs/a");
  await filesAt(store.folder).replace(`${store.folder}/readers/c3.json`, "torn");
  assert.equal((await readersOf(store))[1]?.reading, { asked: 0, next: 0, pinned: 0 });
});

test("a training that will not go on is forgotten by the command that simulation names", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  const verifying = (forget: string) =>
    verify({ path: store.folder, forget, context: { signal: new AbortController().signal, report: () => {} } });
  await assert.rejects(verifying("a1"), /Cannot forget the reader "a1" of .*: no training has registered there/);
  await askToRegister(store, "unread");
  for (const [name, below] of [
    ["a1", 2],
    ["b2", 5],
  ] as const)
    await openReader(store, { name, ...(name === "b2" && { out: "student" }), pinned: 1, from: 0 }).passed(below);
  assert.equal(await keptFor(store), { from: 1, to: 2 });
  await assert.rejects(verifying("c3"), /expected one of a1, b2 \(student\)$/);
  await verifying("a1");
  assert.equal(await keptFor(store), { from: 1, to: 5 });
});

test("a reader of what was removed before it came is refused, and nobody waits for it", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  for (const shard of [0, 1, 2, 3]) await fillShard(store, shard);
  await askToRegister(store, "unread");
  const first = openReader(store, { name: "a1", pinned: 1, from: 0 });
  await first.asks(4);
  await first.passed(3);
  assert.is(await removeRead(store), 2);
  const before = await readersOf(store);
  for (const late of [
    { name: "b2", pinned: 1, from: 0 },
    { name: "b2", pinned: 2, from: 3 }, // it looks at the first two again and again
    { name: "a1", pinned: 1, from: 1 }, // from a checkpoint older than it may go back to
  ]) {
    await assert.rejects(openReader(store, late).asks(4), /Cannot read shard 1 .*: it was removed once the trainings of then had read it/);
    assert.equal(await readersOf(store), before);
  }
  await openReader(store, { name: "b2", pinned: 1, from: 3 }).asks(4);
  assert.is((await readersOf(store)).length, 2);
});

test("verify tells removed shards from lost ones", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  await sealStore(store);
  await askToRegister(store, "unread");
  await openReader(store, { name: "a1", pinned: 1, from: 0 }).passed(3);
  await removeRead(store);
  const said: PipelineEvent[] = [];
  const context = { signal: new AbortController().signal, report: (event: PipelineEvent) => void said.push(event) };
  await verify({ path: store.folder, context });
  const [result] = said.filter(({ type }) => type === "result");
  assert.equal(result?.type === "result" && result.values, { store: store.folder, shards: 5, removed: 2, of: 7, damaged: 0 });
  await filesAt(store.folder).remove(`${store.folder}/shards/000004.parquet`);
  await assert.rejects(verify({ path: store.folder, context }), /is damaged: 1 finding, 1 of its 7 shards must be made again \(4\)/);
});

test("read once, a store gives every row once, window by window, and says what it asks for before", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ entries: 48 }) });
  await fill(store);
  const asked: number[] = [];
  const onAsk = async (below: number): Promise<void> => void asked.push(below);
  const order = { seed: 3, batch: 6, window: 2, firstShards: 1, stepsPerShard: 9, once: true, toStep: 8, onAsk };
  const seen: number[] = [];
  for await (const { rows } of rowBatches(store, order)) {
    for (const { index } of rows) {
      assert.is(Math.floor(index / 16), Math.floor(seen.length / 16));
      seen.push(index);
    }
  }
  assert.equal(asked, [2, 4, 6]);
  assert.not.equal(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  assert.equal(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: 48 }, (_, i) => i),
  );
});

test.run();

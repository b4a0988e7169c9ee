import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JournalEntry, journalLine, readJournal } from "../../store/records/journal.ts";
import { createLatentStore, openLatentStore } from "../../store/rows/latents.ts";
import { idRange, openStore, readShard, writeShard } from "../../store/shards/store.ts";
import { mendStore } from "../../store/making/mend.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest, latentRow } from "./fixture.ts";

const test = suite("journal");
const entry = (shard: number, changes: Partial<JournalEntry> = {}): JournalEntry => ({
  shard,
  rows: 8,
  bytes: 100 + shard,
  sha256: shard.toString(16).padStart(64, "0"),
  failed: [],
  ...changes,
});

/** What text from outside may hold: separators of lines that are none here, controls, halves of a pair, what UTF-8 begins with. */
const awkward = {
  "line and paragraph separators": "a\u2028b\u2029c",
  "every control": String.fromCharCode(...Array.from({ length: 32 }, (_, code) => code), 127, 0x85, 0x9b),
  "a line end": "a\nb\r\nc\rd",
  "half a surrogate pair": "a\ud83dz\udc08",
  "a byte order mark": "\ufeffpics/x.png",
  "what ends a line here": `","crc32":"00000000"}`,
  "a path of this machine": String.raw`EACCES: permission denied, open 'C:\Users\é\x.png' "/tmp/ y"`,
};

for (const [name, text] of Object.entries(awkward)) {
  test(`${name} in a name or reason breaks no journal, quarantine or shard`, async () => {
    const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
    await fillShard(store, 0);
    for (let shard = 1; shard < store.shards; shard++) {
      const { from, to } = idRange(store.manifest, shard);
      const ids = Array.from({ length: to - from - 1 }, (_, i) => from + 1 + i);
      await writeShard(store, { shard, rows: ids.map(latentRow), failed: [{ id: from, name: text, reason: text }] });
    }
    await sealStore(store);
    assert.equal(await verifyStore(await openStore(store)), []);
    assert.is((await readSummary(store))?.rejected, 6);
    const kept = JSON.parse(readFileSync(join(store.folder, "quarantine/000001.jsonl"), "utf8"));
    assert.equal(kept, { id: 8, name: text, reason: text });
    const lines = readFileSync(join(store.folder, "journal.jsonl"), "utf8").trimEnd().split("\n");
    assert.equal(JSON.parse(lines[1]!).failed, [{ id: 8, name: text, reason: text }]);

    const files = contentsOf(store.folder);
    for (const file of ["journal.jsonl", "quarantine/000002.jsonl"]) writeFileSync(join(store.folder, file), "lost");
    assert.ok((await verifyStore(await openStore(store))).length > 0);
    assert.equal(await mendStore(await openStore(store)), []);
    assert.equal(contentsOf(store.folder), files);
  });
}

test("a line that is no entry is named, however well its checksum fits", async () => {
  const path = freshFolder();
  const forged = (changes: object) => journalLine({ ...entry(0), ...changes } as JournalEntry);
  const lines = {
    [forged({ failed: { length: 3 } })]: /is impossible: its failures are no list/,
    [forged({ failed: [{ id: "x", reason: "r" }] })]: /is impossible: its failure 0 has no id/,
    [forged({ rows: -1 })]: /is impossible: its rows is no whole number/,
    [forged({ bytes: "12" })]: /is impossible: its bytes is no whole number/,
    [forged({ shard: 1.5 })]: /is impossible: its shard is no whole number/,
    [forged({ sha256: "abc" })]: /is impossible: its sha256 is none/,
    [forged({}).replace("100", "101")]: /is damaged/,
    "torn{": /is damaged/,
  };
  writeFileSync(path, `${Object.keys(lines).join("\n")}\n${journalLine(entry(3))}\n`);
  const { entries, damaged } = await readJournal(path);
  assert.equal([...entries.keys()], [3]);
  assert.is(damaged.count, 8);
  for (const [i, problem] of Object.values(lines).entries()) {
    assert.match(damaged.first[i]!.problem, new RegExp(`^line ${i + 1} ${problem.source}`));
  }
});

test("damaged lines without number are counted, the first named", async () => {
  const path = freshFolder();
  writeFileSync(path, "x\n".repeat(100_000));
  const { damaged } = await readJournal(path);
  assert.equal([damaged.count, damaged.first.length, damaged.first.at(-1)?.problem], [100_000, 20, "line 20 is damaged"]);
});

test("a journal is read again where another stands in its place, and only there", async () => {
  const path = freshFolder();
  const line = (shard: number) => `${journalLine(entry(shard))}\n`;
  const journal = await readJournal(path);
  const shards = async () => [...(await readJournal(path, journal)).entries.keys()];
  assert.equal(await shards(), []);
  writeFileSync(path, `${line(0)}x\n${line(1).slice(0, 30)}`); // its last line is torn by a kill
  assert.equal([await shards(), await shards()], [[0], [0]]);
  assert.equal(
    journal.damaged.first.map(({ problem }) => problem),
    ["line 2 is damaged", "line 3 is damaged"],
  );
  writeFileSync(`${path}.new`, line(5) + line(6) + line(6));
  renameSync(`${path}.new`, path);
  assert.equal(await shards(), [0, 5, 6]); // as sealing does
});

test("every shard has its line in a file of its own until the store is sealed, others' beside it", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  const names = () => Object.keys(contentsOf(store.folder)).filter((name) => name.startsWith("journal"));
  assert.equal(
    names(),
    [0, 1, 2, 3, 4, 5, 6].map((shard) => `journal/00000${shard}.json`),
  );
  const line = readFileSync(join(store.folder, "journal/000004.json"), "utf8");
  const { shard, rows, sha256 } = JSON.parse(line) as JournalEntry;
  assert.equal([shard, rows, sha256.length, line.at(-1)], [4, 8, 64, "\n"]);
  await fillShard(store, 4, (id) => id === 33); // as an unlike device would: what is there stays, and the line is kept
  const [, , , , other = ""] = names();
  assert.match(other, /^journal\/000004-[0-9a-f]{16}\.json$/);
  assert.equal(await verifyStore(await openStore(store)), []);
  writeFileSync(join(store.folder, "journal/000003.json"), "torn");
  assert.equal(
    (await verifyStore(await openStore(store))).map(({ file, problem }) => [file, problem]),
    [
      ["journal/000003.json", "it is damaged"],
      ["journal.jsonl", "shard 3 has no line"],
    ],
  );
  await sealStore(store);
  assert.equal(names(), ["journal.jsonl"]);
  assert.is(readFileSync(join(store.folder, "journal.jsonl"), "utf8").split("\n")[4], line.trimEnd());
  assert.equal(await verifyStore(await openStore(store)), []);
});

test("a store that an earlier version began is gone on with: its lines stand in one file, or each with its hash", async () => {
  const whole = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(whole);
  await sealStore(whole);
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  for (const shard of [0, 1, 2, 3]) await fillShard(store, shard);
  const path = (name: string) => join(store.folder, "journal", name);
  const lines = [0, 1].map((shard) => readFileSync(path(`00000${shard}.json`), "utf8"));
  writeFileSync(join(store.folder, "journal.jsonl"), `${lines.join("")}{"shard":9,"ro`);
  for (const shard of [0, 1]) rmSync(path(`00000${shard}.json`));
  const { sha256 } = JSON.parse(readFileSync(path("000002.json"), "utf8")) as JournalEntry;
  renameSync(path("000002.json"), path(`000002-${sha256.slice(0, 16)}.json`));
  const again = await createLatentStore({ folder: store.folder, manifest: latentManifest() });
  assert.equal(
    (await verifyStore(again)).map(({ file, problem }) => [file, problem]),
    [["journal.jsonl", "line 3 is damaged"]],
  );
  for (const shard of [4, 5, 6]) await fillShard(again, shard);
  await sealStore(again);
  assert.equal(contentsOf(store.folder), contentsOf(whole.folder));
});

test("a line longer than a piece of the file is read, and none is too long for memory", async () => {
  const path = freshFolder();
  const failed = Array.from({ length: 30_000 }, (_, id) => ({ id, reason: "r".repeat(100) }));
  writeFileSync(path, `${journalLine(entry(0, { failed }))}\n${journalLine(entry(1))}\n`);
  const { entries } = await readJournal(path);
  assert.equal([entries.get(0)?.[0]?.failed, entries.get(1)?.[0]?.failed], [30_000, 0]);
  truncateSync(path, 2 ** 30); // as a sparse file: one line of a gigabyte
  const before = process.resourceUsage().maxRSS;
  const again = await readJournal(path);
  assert.equal([again.entries.size, again.damaged.first[0]?.problem], [2, "line 3 is longer than a shard's can be"]);
  assert.ok(process.resourceUsage().maxRSS - before < 600 * 1024);
});

test("a reader that follows a store reads each shard by the line that came with it, and after sealing by the journal", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  const reader = await openLatentStore(store);
  for (const shard of [0, 1, 2]) {
    await fillShard(store, shard);
    assert.is((await readShard(reader, shard)).length, 8);
    assert.is(reader.journal.entries.size, shard + 1);
  }
  await fill(store);
  await sealStore(store);
  assert.is((await readShard(reader, 5)).length, 8);
  assert.is(reader.journal.entries.size, 7);
});

test("what an unfinished journal says of a sound shard is held against the shard", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fillShard(store, 0);
  const path = join(store.folder, "journal/000000.json");
  const { crc32: _, ...line } = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, `${journalLine({ ...line, rows: 7, failed: [{ id: 1, reason: "never" }] })}\n`);
  const findings = await verifyStore(await openStore(store));
  assert.equal(
    findings.map(({ file, problem }) => [file, problem]),
    [["journal.jsonl", "the line of shard 0 is not what the shard says"]],
  );
  assert.equal(await mendStore(await openStore(store)), []);
});

test("a line of a shard that the store cannot have is found and mended away", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  appendFileSync(join(store.folder, "journal.jsonl"), `${journalLine(entry(2 ** 40))}\n`);
  const findings = await verifyStore(await openStore(store));
  assert.match(findings[0]!.problem, /it has a line of shard 1099511627776, and the store has 7 shards/);
  assert.equal(await mendStore(await openStore(store)), []);
});

test("a store whose quarantine is a folder is damaged, not a mistake", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fill(store);
  mkdirSync(join(store.folder, "quarantine/000003.jsonl"), { recursive: true });
  const [finding] = await verifyStore(await openStore(store));
  assert.is(finding?.file, "quarantine/000003.jsonl");
});

test.run();

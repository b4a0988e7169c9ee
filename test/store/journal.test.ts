import { appendFileSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JournalEntry, journalLine, readJournal } from "../../store/journal.ts";
import { createLatentStore, openLatentStore } from "../../store/latents.ts";
import { idRange, openStore, readShard, writeShard } from "../../store/store.ts";
import { mendStore } from "../../store/mend.ts";
import { readSummary, sealStore } from "../../store/summary.ts";
import { verifyStore } from "../../store/verify.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest, latentRow } from "./fixture.ts";

const test = suite("journal");
const entry = (shard: number, changes: Partial<JournalEntry> = {}): JournalEntry => ({
  ...{ shard, rows: 8, bytes: 100 + shard, sha256: shard.toString(16).padStart(64, "0"), failed: [] },
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
    assert.is(damaged.first[i]!.line, i + 1);
    assert.match(damaged.first[i]!.problem, problem);
  }
});

test("damaged lines without number are counted, the first named", async () => {
  const path = freshFolder();
  writeFileSync(path, "x\n".repeat(100_000));
  const { damaged } = await readJournal(path);
  assert.equal([damaged.count, damaged.first.length, damaged.first.at(-1)?.line], [100_000, 20, 20]);
});

test("a journal is read on from where it was, and anew when it shrank, was replaced or changed", async () => {
  const path = freshFolder();
  const line = (shard: number) => `${journalLine(entry(shard))}\n`;
  const journal = await readJournal(path);
  const shards = async () => [...(await readJournal(path, journal)).entries.keys()];
  assert.equal(await shards(), []);
  writeFileSync(path, line(0) + line(1));
  assert.equal(await shards(), [0, 1]);
  const { offset } = journal.place;
  assert.is(offset, (line(0) + line(1)).length);

  appendFileSync(path, line(2).slice(0, 30)); // another process is writing it
  assert.equal([await shards(), journal.torn?.line, journal.place.offset], [[0, 1], 3, offset]);
  appendFileSync(path, line(2).slice(30) + line(3));
  assert.equal([await shards(), journal.torn, journal.damaged.count], [[0, 1, 2, 3], undefined, 0]);

  // What was read is not read again: a change before the end of it is seen only by a fresh reading.
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace('"shard":0', '"shard":7') + line(4));
  assert.equal(await shards(), [0, 1, 2, 3, 4]);
  assert.equal([...(await readJournal(path)).entries.keys()], [1, 2, 3, 4]);

  truncateSync(path, line(0).length + line(1).length);
  assert.equal(await shards(), [1]); // shrank
  writeFileSync(`${path}.new`, line(5) + line(6) + line(6));
  renameSync(`${path}.new`, path);
  assert.equal(await shards(), [5, 6]); // replaced, as sealing does
  writeFileSync(path, line(8) + line(9) + line(9).replace("9", "8"));
  assert.equal((await shards()).slice(0, 2), [8, 9]); // the end of what was read has changed
  renameSync(path, `${path}.away`);
  assert.equal(await shards(), []);
});

test("readings at once count no line twice", async () => {
  const path = freshFolder();
  writeFileSync(path, Array.from({ length: 50 }, (_, shard) => `${journalLine(entry(shard))}\nx\n`).join(""));
  const journal = await readJournal(`${path}.none`);
  await Promise.all(Array.from({ length: 10 }, () => readJournal(path, journal)));
  assert.equal([journal.entries.size, journal.damaged.count, journal.place.lines], [50, 50, 100]);
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
  assert.equal([again.entries.size, again.torn?.problem], [2, "is longer than a shard's can be"]);
  assert.ok(process.resourceUsage().maxRSS - before < 600 * 1024);
});

test("a reader that follows a store reads each shard by the line that came with it", async () => {
  const source = await createLatentStore({ folder: freshFolder(), manifest: latentManifest({ entries: 800 }) });
  await fill(source);
  const lines = readFileSync(join(source.folder, "journal.jsonl"), "utf8").trimEnd().split("\n");
  writeFileSync(join(source.folder, "journal.jsonl"), "");
  const reader = await openLatentStore(source);
  for (const [shard, line] of lines.entries()) {
    appendFileSync(join(source.folder, "journal.jsonl"), `${line}\n`);
    assert.is((await readShard(reader, shard)).length, 8);
    assert.equal([reader.journal.entries.size, reader.journal.place.lines], [shard + 1, shard + 1]);
  }
});

test("what an unfinished journal says of a sound shard is held against the shard", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  await fillShard(store, 0);
  const path = join(store.folder, "journal.jsonl");
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

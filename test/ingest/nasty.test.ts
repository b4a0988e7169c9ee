/** Every hostile, damaged or odd archive leads to its outcome: those made here, and those of ../shared/data/nasty. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { drain } from "../../stages/flow/mod.ts";
import { csvRecords } from "../../stages/ingest/captions/csv.ts";
import { decode, openImages } from "../../stages/ingest/mod.ts";
import { type NastyArchive, nastyArchives, type Outcome } from "../fixtures/nasty.ts";
import { picture } from "../fixtures/png.ts";
import { writeZip } from "../fixtures/zip.ts";
import { assert, suite } from "../harness.ts";

const test = suite("nasty archives");
const limits = settingsSchema.parse({}).images;
const folder = mkdtempSync(join(tmpdir(), "onestep-nasty-"));
test.after(() => rmSync(folder, { recursive: true }));

const threePictures = [1, 2, 3].map((i) => ({ name: `${i}.png`, data: picture(i) }));

/** Ingests the archive as the product does, and holds what comes out against the outcome. */
async function expectOutcome(path: string, { accepted, rejected = [], problems = [], fails }: Outcome): Promise<void> {
  const refusals: string[] = [];
  const faults: string[] = [];
  let images = 0;
  const ingest = async () => {
    const source = await openImages({ paths: [path], limits });
    faults.push(...source.problems.map(({ entry, reason }) => `${entry}: ${reason}`));
    await drain(source.images().pipe(decode({ ...limits, size: 32 })), {
      sink: (sample) => {
        if (sample.kind === "image") {
          images++;
          assert.is(sample.pixels.length, 32 * 32 * 3);
        } else refusals.push(`${sample.entry}: ${sample.reason}`);
      },
    });
    assert.is(images + refusals.length, source.entries);
  };
  const failure = await ingest().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (fails) {
    assert.instance(failure, Failure);
    assert.match((failure as Failure).message, fails);
    return;
  }
  if (failure) throw failure;
  assert.is(images, accepted, `accepted ${images}, rejected ${refusals.join("; ")}`);
  for (const pattern of rejected)
    assert.ok(
      refusals.some((line) => pattern.test(line)),
      `${pattern} in ${refusals.join("; ")}`,
    );
  assert.is(refusals.length, rejected.length, refusals.join("; "));
  for (const pattern of problems)
    assert.ok(
      faults.some((line) => pattern.test(line)),
      `${pattern} in ${faults.join("; ")}`,
    );
}

for (const archive of nastyArchives as NastyArchive[]) {
  test(archive.name, async () => {
    const path = join(folder, "archive.zip");
    writeFileSync(path, archive.bytes());
    const before = process.resourceUsage().maxRSS;
    await expectOutcome(path, archive);
    const grown = (process.resourceUsage().maxRSS - before) / 1024;
    assert.ok(grown < 100, `the process grew by ${grown.toFixed()} MiB`);
    assert.equal(readdirSync(folder), ["archive.zip"]);
  });
}

test("a zip with any bytes changed is read or refused, and never crashes", async () => {
  const path = join(folder, "archive.zip");
  const sound = [writeZip(threePictures), writeZip(threePictures, { zip64: {} })];
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const counts = { refused: 0, read: 0 };
  for (let round = 0; round < 600; round++) {
    const zip = Buffer.from(sound[round % 2] as Buffer);
    // Two in three changes hit the last 400 bytes: the directory and the end records.
    for (let i = 0; i <= round % 4; i++) {
      const at = round % 3 === 0 ? random(zip.length) : zip.length - 1 - random(400);
      zip[at] = [0, 0x50, 0xff, random(256)][random(4)] as number;
    }
    writeFileSync(path, zip);
    try {
      const source = await openImages({ paths: [path], limits });
      let items = 0;
      await drain(source.images(), { sink: () => void items++ });
      assert.is(items, source.entries);
      counts.read++;
    } catch (error) {
      assert.instance(error, Failure, `round ${round}: ${(error as Error).stack}`);
      counts.refused++;
    }
  }
  assert.ok(counts.refused > 50 && counts.read > 50, JSON.stringify(counts));
});

/** MANIFEST.csv in numbers. */
const outcomes: Record<string, Outcome> = {
  "00-control-good-12.zip": { accepted: 12 },
  "01-truncated-half.zip": { fails: /cut off/ },
  "03-truncated-last-byte.zip": { fails: /cut off/ },
  "04-corrupt-png.zip": {
    accepted: 13, // the ten broken ones but no-iend, whose picture is whole
    rejected: [
      "bad-filter-byte",
      "cut-in-half",
      "empty",
      "idat-crc-wrong",
      "idat-garbled",
      "ihdr-bad-depth",
      "ihdr-zero-size",
      "only-signature",
      "short-idat",
    ].map((name) => new RegExp(`^bad/${name}.png: (damaged PNG|an empty file)`)),
  },
  "05-zip-crc-mismatch.zip": { accepted: 3, rejected: [/^ok\/001.png: its CRC-32 does not match/] },
  "06-deflate-garbage.zip": { accepted: 2, rejected: [/^b.png: its compressed data is damaged/] },
  "07-path-traversal.zip": {
    accepted: 5,
    rejected: [/^\.\.\/evil/, /^\.\.\/\.\.\//, /^\/tmp\/lab-abs-evil/, /^\.\.\\/, /^C:/, /^a\/\.\.\//, /^file:/],
  },
  "08-symlink-entry.zip": { accepted: 2, rejected: [/^link.png: a symbolic link/, /^dir: a symbolic link/] },
  "09-bomb-64MiB-zeros.zip": { accepted: 2, rejected: [/^zeros.png: inflates 1029-fold/] },
  "10-png-bombs.zip": { accepted: 2, rejected: [/^bomb-12000.*pixels/, /^declares-2147483647.*pixels/] },
  "12-nested-zip.zip": { accepted: 1, rejected: [/^inner.zip: .*not opened/, /^deeper\/inner2.zip: .*not opened/] },
  "13-non-image-files.zip": {
    accepted: 5,
    rejected: [
      /^readme.txt/,
      /^page.html/,
      /^actually-text.png/,
      /^actually-html.png/,
      /^prog.exe/,
      /^doc.svg/,
      /^double.png.txt/,
      /^labels.csv/,
    ],
  },
  "14-no-images-at-all.zip": { accepted: 0, rejected: [/^readme.txt: a text file, not an image/, /^data.bin: not an image/] },
  "16-unicode-names.zip": { accepted: 21 },
  "18-flag-says-utf8-but-is-not.zip": { accepted: 2 },
  "19-encrypted-zipcrypto.zip": {
    accepted: 0,
    rejected: [/^0.png: encrypted: password-protected zips are not supported/, /^1.png/, /^2.png/],
  },
  "20-encrypted-flag-one-of-two.zip": { accepted: 1, rejected: [/^flagged.png: encrypted/] },
  "23-zip64-full.zip": { accepted: 4 },
  "24-zip64-lies.zip": { fails: /zip64 end record points outside/ },
  "27-empty.zip": { fails: /holds no files/ },
  "28-zero-bytes.zip": { fails: /empty \(0 bytes\)/ },
  "29-is-a-png.zip": { fails: /not a zip file/ },
  "30-random-bytes.zip": { fails: /not a zip file/ },
  "35-comment-with-fake-eocd.zip": { accepted: 12 },
  "36-data-descriptors.zip": { accepted: 5 },
  "37-duplicate-names.zip": { accepted: 3 },
  "38-method-bzip2.zip": { accepted: 1, rejected: [/^a.png: packed with bzip2/] },
  "41-size-too-small.zip": { accepted: 1, rejected: [/^a.png: it holds 2666 bytes where the archive declares 10/] },
  "42-size-too-big.zip": { accepted: 11, rejected: [/^ok\/000.png: 2147483647 bytes, more than/] },
  "44-local-name-differs.zip": { accepted: 2 },
  "47-captions-nasty.zip": {
    accepted: 4,
    problems: [/missing.png/, /no text for "b.png"/, /no file_name/, /already/, /^d.png: no caption/],
  },
  "48-captions-bad-jsonl.zip": {
    accepted: 3,
    problems: [/row 2: not valid JSON/, /no text for "b.png"/, /"..\/c.png"/, /not a string/],
  },
  "50-image-zoo.zip": { accepted: 31, rejected: [/^bmp.bmp: not a supported image: a BMP image/] },
};

const shared = "../shared/data/nasty";
if (existsSync(shared)) {
  test("every archive of the manifest has its outcome here", () => {
    const [, ...rows] = csvRecords(readFileSync(join(shared, "MANIFEST.csv")));
    assert.equal(rows.map(({ fields: [file] }) => file).sort(), Object.keys(outcomes).sort());
  });
  for (const [file, outcome] of Object.entries(outcomes)) test(file, () => expectOutcome(join(shared, file), outcome));
} else {
  test.skip("the archives of MANIFEST.csv", `${shared} is not there`);
}

test.run();

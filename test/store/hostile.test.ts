/** Stores that are false and agree with themselves: found, named and refused before they cost anything. */
import { cpSync, readFileSync } from "node:fs";
import type { PageHeader } from "hyparquet";
import { surveyStore } from "../../stages/inspect/survey.ts";
import { rowBatches } from "../../store/batches.ts";
import { mergeStores } from "../../store/merge.ts";
import { openStore, readHead, shardPath, type Store } from "../../store/store.ts";
import type { Row } from "../../store/stored-rows.ts";
import { createTripleStore } from "../../store/triples.ts";
import { verifyStore } from "../../store/verify.ts";
import { assert, suite } from "../harness.ts";
import { fill, freshFolder, tripleManifest } from "./fixture.ts";
import { plant, varint, withFooter, withMetadata, withPage } from "./forgery.ts";

const test = suite("hostile");
const { signal } = new AbortController();
const order = { seed: 1, batch: 4, window: 1, firstShards: Infinity, stepsPerShard: 1, toStep: 20 };
const MB = 2 ** 20;

type Pairs = Record<string, string>;
type Forge = (store: Store, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

const pairs =
  (change: (pairs: Pairs) => void, crc32?: string): Forge =>
  (store) =>
    withMetadata(store, 1, { change, crc32 });
const rows =
  (change: (rows: Row[]) => Row[]): Forge =>
  (store) =>
    withMetadata(store, 1, { rows: change });
const failed = (value: unknown) => pairs((of) => void (of.failed = JSON.stringify(value)));
const sums = (change: (sums: Record<string, unknown>) => void) =>
  pairs((of) => {
    const value = JSON.parse(of.sums!);
    change(value);
    of.sums = JSON.stringify(value);
  });
const footer =
  (change: Parameters<typeof withFooter>[1]): Forge =>
  (_, bytes) =>
    withFooter(bytes, change);
const page =
  (column: string, change: (header: PageHeader, values: Uint8Array) => Uint8Array | undefined): Forge =>
  (_, bytes) =>
    withPage(bytes, column, (header, values) => change(header, values) ?? values);

/** A page of so many nulls: one run, in a few bytes. */
const nulls = (count: number) => (header: PageHeader) => {
  const values = Uint8Array.of(...varint(count * 2), 0);
  Object.assign(header.data_page_header_v2!, { num_values: count, num_rows: count, num_nulls: count });
  header.data_page_header_v2!.definition_levels_byte_length = values.length;
  header.compressed_page_size = header.uncompressed_page_size = values.length;
  return values;
};

/** Of shard 1, with the ids 8 to 15. */
const forgeries: Record<string, [Forge, RegExp]> = {
  "ids shifted": [rows((all) => all.map((row) => ({ ...row, id: Number(row.id) + 1000 }))), /its row 0 has the id 1008, expected 8/],
  "a row missing": [rows((all) => all.slice(1)), /it says that it has 7 rows, expected 8/],
  "a row too many": [rows((all) => [...all, all[7]!]), /it says that it has 9 rows, expected 8/],
  "a row repeated in place of another": [rows((all) => [all[0]!, ...all.slice(0, 7)]), /its row 1 has the id 8, expected 9/],
  "rows out of order": [rows((all) => [...all].reverse()), /its row 0 has the id 15, expected 8/],
  "a negative id": [rows((all) => [{ ...all[0], id: -1 }, ...all.slice(1)]), /its row 0 has the id -1, expected 8/],
  "failures that are no list": [failed({ length: 3 }), /its failures are no list/],
  "a failure that is nothing": [failed([null]), /its failure 0 has no id/],
  "a failure whose id is a script": [failed([{ id: "<script>", reason: "r" }]), /its failure 0 has no id \(<script>\)/],
  "a failure without a reason": [failed([{ id: 9 }]), /its failure 0 \(id 9\) has no reason/],
  "a failure whose name is a number": [failed([{ id: 9, name: 7, reason: "r" }]), /has a name that is no text/],
  "a failure of another shard": [failed([{ id: 17, reason: "r" }]), /a failure of id 17, outside its ids 8 to 15/],
  "a failure twice": [failed([9, 9].map((id) => ({ id, reason: "r" }))), /the failure of id 9 twice/],
  "a failure of a row that is there": [
    (store) =>
      withMetadata(store, 1, {
        rows: (all) => all.slice(0, 7),
        change: (of) => {
          of.failed = '[{"id":9,"reason":"r"}]';
          of.sums = of.sums!.replace(/"count":\[96,96\]/, '"count":[84,84]');
        },
      }),
    /its row 1 has the id 9, expected 10/,
  ],
  "failures that are no JSON": [pairs((of) => void (of.failed = "[")), /its list of failures is no JSON/],
  "sums missing": [pairs((of) => void (of.sums = "{}")), /its sums are impossible: count is missing/],
  "sums that are nothing": [pairs((of) => void (of.sums = "null")), /its sums are impossible/],
  "sums of other channels": [sums((of) => void (of.mean = of.count = [192])), /its sums are impossible: count is \[192\]/],
  "sums of text": [sums((of) => void (of.sum = ["1", "2"])), /its sums are impossible: sum is/],
  "sums of negative counts": [sums((of) => void (of.count = [-1, 193])), /its sums are impossible: count is/],
  "sums of other rows": [sums((of) => void (of.count = [95, 96])), /its sums are of 191 values/],
  "sums that are false": [sums((of) => void (of.sum = [0, 0])), /its sums are not those of its rows/],
  "no sums at all": [pairs((of) => void delete of.sums), /its metadata has no sums/],
  "ids of another shard": [pairs((of) => void (of.ids = "[0,8]")), /its ids is \[0,8\], expected \[8,16\]/],
  "another shape": [pairs((of) => void (of.shape = "[1,1,1]")), /its shape is \[1,1,1\]/],
  "another dtype": [pairs((of) => void (of.dtype = "float16")), /its dtype is float16, expected float32/],
  "another number": [pairs((of) => void (of.shard = "2")), /it is shard 2 under another name/],
  "a later version": [pairs((of) => void (of.version = "2")), /it has format version 2/],
  "metadata that does not match its checksum": [pairs(() => {}, "1"), /its metadata does not match its checksum/],
  "two thousand million rows": [
    footer((of) => void (of.num_rows = of.row_groups[0]!.num_rows = 2_000_000_000n)),
    /it says that it has 2000000000 rows, expected 8/,
  ],
  "a negative number of rows": [footer((of) => void (of.num_rows = -8n)), /it says that it has -8 rows/],
  "a group of other rows": [footer((of) => void (of.row_groups[0]!.num_rows = 7n)), /has 8 values, expected 7/],
  "a group of no rows": [
    footer((of) => void of.row_groups.push({ ...of.row_groups[0]!, num_rows: 0n })),
    /its row group 1 says that it has 0 rows/,
  ],
  "a group twice": [footer((of) => void of.row_groups.push(of.row_groups[0]!)), /its row group 1 says that it has 8 rows/],
  "a column less": [
    footer((of) => void (of.schema = [{ ...of.schema[0]!, num_children: 6 }, ...of.schema.slice(1, 7)])),
    /it has 6 columns, expected 7/,
  ],
  "a column of another type": [footer((of) => void (of.schema[1]!.type = "DOUBLE")), /its column 0 is id \(DOUBLE\), not id \(INT64\)/],
  "wider tensors": [footer((of) => void (of.schema[6]!.type_length = 2 ** 30)), /its column 5 is latent/],
  "columns that overlap": [
    footer((of) => void (of.row_groups[0]!.columns[1]!.meta_data!.data_page_offset = 4n)),
    /column seed of its row group 0 begins at byte 4, expected/,
  ],
  "a column at a negative place": [
    footer((of) => void (of.row_groups[0]!.columns[0]!.meta_data!.data_page_offset = -4n)),
    /column id of its row group 0 begins at byte -4, expected 4/,
  ],
  "a column larger than the file": [
    footer((of) => void (of.row_groups[0]!.columns[6]!.meta_data!.total_compressed_size = 2n ** 40n)),
    /its columns end at byte 1\d{12}, expected/,
  ],
  "a column of a negative size": [
    footer((of) => void (of.row_groups[0]!.columns[6]!.meta_data!.total_compressed_size = -1n)),
    /column crc32 of its row group 0 has -1 bytes/,
  ],
  "a compressed column": [
    footer((of) => void (of.row_groups[0]!.columns[4]!.meta_data!.codec = "SNAPPY")),
    /column caption of its row group 0 is not as it was written/,
  ],
  "a dictionary": [
    footer((of) => void (of.row_groups[0]!.columns[4]!.meta_data!.dictionary_page_offset = 4n)),
    /column caption of its row group 0 is not as it was written/,
  ],
  "a page of two thousand million nulls": [
    page("caption", nulls(2_000_000_000)),
    /the page of column caption .* has 2000000000 values, expected 8/,
  ],
  "nulls where there are none": [page("id", nulls(8)), /column id of its row group 0 has \d+ bytes, too few for 8 rows/],
  "a page that unpacks to gigabytes": [
    page("label", (header) => void (header.uncompressed_page_size = 2 ** 31 - 1)),
    /the page of column label .* \(2147483647 unpacked\)/,
  ],
  "a page of a negative size": [
    page("label", (header) => void (header.compressed_page_size = -5)),
    /the page of column label .* has -5 bytes/,
  ],
  "levels of a negative size": [
    page("label", (header) => void (header.data_page_header_v2!.definition_levels_byte_length = -9)),
    /the page of column label .* values are null/,
  ],
  "more nulls than values": [page("label", (header) => void (header.data_page_header_v2!.num_nulls = 9)), /9 of its 8 values are null/],
  "a page of a dictionary": [
    page("caption", (header) => void (header.data_page_header_v2!.encoding = "RLE_DICTIONARY")),
    /the page of column caption .* is not a plain data page/,
  ],
  "a text longer than its page": [
    page("caption", (header, values) => {
      const levels = header.data_page_header_v2!.definition_levels_byte_length;
      return Uint8Array.from(values, (byte, i) => (i >= levels && i < levels + 4 ? 0x7f : byte));
    }),
    /it is not a readable Parquet file/,
  ],
  "a description of nothing": [footer(new Uint8Array(0)), /its description ends too early/],
  "a description that stops at once": [footer(Uint8Array.of(0)), /its description lacks what Parquet requires/],
  "a million structs in one another": [footer(new Uint8Array(MB).fill(0x1c)), /is nested more than 16 deep/],
  "lists in one another": [footer(new Uint8Array(MB).fill(0x19)), /is nested more than 16 deep/],
  "a number of a million bytes": [footer(Uint8Array.of(0x16, ...new Uint8Array(100_000).fill(0xff), 0)), /a number of more than 64 bits/],
  "a list of millions of empty structs": [footer(listOfStructs(4 * MB)), /holds more than 1048576 values/],
  "a list of four thousand million": [footer(Uint8Array.of(0x19, 0xfc, ...varint(2 ** 32 - 1), 0, 0)), /its description ends too early/],
  "a text beyond the end": [footer(Uint8Array.of(0x18, ...varint(2 ** 31), 0)), /its description ends too early/],
  "an end that is none": [(_, bytes) => bytes.map((byte, i) => (i >= bytes.length - 4 ? 0 : byte)), /it does not end with PAR1/],
  "a description longer than the file": [
    (_, bytes) => bytes.map((byte, i) => (i >= bytes.length - 8 && i < bytes.length - 4 ? 0xff : byte)),
    /its description has 4294967295 bytes, more than the file/,
  ],
  "no byte": [() => new Uint8Array(0), /it has 0 bytes/],
};

function listOfStructs(count: number): Uint8Array {
  const head = Uint8Array.of(0x19, 0xfc, ...varint(count));
  const bytes = new Uint8Array(head.length + count + 1);
  bytes.set(head);
  return bytes;
}

/** What reading a store for training ends with. */
async function training(folder: string): Promise<string> {
  try {
    for await (const _ of rowBatches(await openStore({ folder }), order));
    return "trained";
  } catch (error) {
    assert.is((error as Error).name, "Failure", String((error as Error).stack));
    return (error as Error).message;
  }
}

let good: Store;
test.before(async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(store);
  good = await openStore(store);
});

const before = process.resourceUsage().maxRSS;

for (const [name, [forge, problem]] of Object.entries(forgeries)) {
  test(`${name}: verify, train, inspect and merge say so`, async () => {
    const folder = freshFolder();
    cpSync(good.folder, folder, { recursive: true });
    const store = await openStore({ folder });
    plant(store, 1, await forge(store, readFileSync(shardPath(store, 1))));

    const findings = await verifyStore(await openStore({ folder }));
    assert.equal(
      findings.map(({ shard, file }) => [shard, file]),
      [[1, "shards/000001.parquet"]],
      JSON.stringify(findings),
    );
    assert.match(findings[0]!.problem, problem);
    assert.match(await training(folder), new RegExp(`^Cannot use shard 1 \\(rows 8 to 15\\) of .*${problem.source}`));
    const survey = await surveyStore(await openStore({ folder }), { signal });
    assert.equal(
      survey.shards.map(({ state }) => state),
      ["sound", "damaged", "sound", "sound", "sound", "sound", "sound"],
    );
    assert.match(survey.shards[1]!.problem ?? "", problem);
    await assert.rejects(mergeStores({ from: [folder], to: freshFolder() }), problem);
  });
}

test("none of it took memory", () => {
  const taken = process.resourceUsage().maxRSS - before;
  assert.ok(taken < 400 * 1024, `${taken} kB`);
});

test("what reads the end of a shard alone refuses it too", async () => {
  const folder = freshFolder();
  cpSync(good.folder, folder, { recursive: true });
  const store = await openStore({ folder });
  plant(store, 1, await withMetadata(store, 1, { change: (of) => void (of.failed = "7") }));
  await assert.rejects(readHead(store, 1), /Cannot use shard 1 .* its failures are no list \(7\)/);
});

test.run();

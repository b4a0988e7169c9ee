/** Stores that are false and agree with themselves: found, named and refused before they cost anything. */
import { cpSync } from "node:fs";
import type { PageHeader } from "hyparquet";
import { openStore, readHead, type Store } from "../../store/shards/store.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { checkRefused, falseShards, type Forge, rows } from "./false-shards.ts";
import { fill, freshFolder, tripleManifest } from "./fixture.ts";
import { plant, varint, withFooter, withMetadata, withPage } from "./forgery.ts";

const test = suite("hostile");
const MB = 2 ** 20;

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
  ...falseShards,
  "a row missing": [rows((all) => all.slice(1)), /it says that it has 7 rows, expected 8/],
  "a row too many": [rows((all) => [...all, all[7]!]), /it says that it has 9 rows, expected 8/],
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

let good: Store;
test.before(async () => {
  const store = await createTripleStore({ folder: freshFolder(), manifest: tripleManifest() });
  await fill(store);
  good = await openStore(store);
});

const before = process.resourceUsage().maxRSS;

for (const [name, [forge, problem]] of Object.entries(forgeries)) {
  test(`${name}: verify, train, inspect and merge say so`, async () => {
    await checkRefused(good, forge, problem);
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

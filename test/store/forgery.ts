/** Shards as a faulty or hostile writer leaves them: false, with hashes and checksums that agree. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { type FileMetaData, type PageHeader, parquetMetadata } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { ByteWriter } from "hyparquet-writer";
import { writePageHeader } from "hyparquet-writer/src/datapage.js";
import { writeMetadata } from "hyparquet-writer/src/metadata.js";
import { crc32 } from "../../schemas/numbers/crc.ts";
import { formatOf } from "../../store/format/formats.ts";
import { type JournalEntry, journalLine } from "../../store/records/journal.ts";
import { entriesPath, journalPath, shardDigits } from "../../store/records/layout.ts";
import { encodeShard, readShardMetadata } from "../../store/format/shard.ts";
import { idRange, readShard, type Store, shardPath } from "../../store/shards/store.ts";
import type { Row } from "../../store/format/stored-rows.ts";

/** Puts bytes in a shard's place, with a journal line that agrees with them. */
export function plant(store: Store, shard: number, bytes: Uint8Array, claims: Partial<JournalEntry> = {}): void {
  const { from, to } = idRange(store.manifest, shard);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const entry = { shard, rows: to - from, bytes: bytes.length, sha256, failed: [], ...claims };
  if (existsSync(journalPath(store))) {
    const others = readFileSync(journalPath(store), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith(`{"shard":${shard},`));
    writeFileSync(journalPath(store), [...others, journalLine(entry), ""].join("\n"));
  } else writeFileSync(`${entriesPath(store)}/${shardDigits(shard)}.json`, `${journalLine(entry)}\n`);
  writeFileSync(shardPath(store, shard), bytes);
}

/** A shard of these rows whose metadata was changed and then given the checksum that it should have. */
export async function withMetadata(
  store: Store,
  shard: number,
  options: { rows?: (rows: Row[]) => Row[]; change?: (pairs: Record<string, string>) => void; crc32?: string },
): Promise<Uint8Array> {
  const { crc32: _, ...pairs } = await readShardMetadata(shardPath(store, shard));
  options.change?.(pairs);
  const rows = (await readShard(store, shard)) as Row[];
  const checksum = options.crc32 ?? String(crc32(Buffer.from(JSON.stringify(pairs))));
  const metadata = { ...pairs, crc32: checksum };
  const format = formatOf(store.manifest);
  return Uint8Array.from(await encodeShard({ columns: store.columns, format, rows: options.rows?.(rows) ?? rows, metadata }));
}

/** What a file's end says, as hyparquet reads it. */
function footerOf(bytes: Uint8Array): FileMetaData {
  return parquetMetadata(Uint8Array.from(bytes));
}

/** The file with another end: its description changed, or bytes of one's own. */
export function withFooter(bytes: Uint8Array, change: ((footer: FileMetaData) => void) | Uint8Array): Uint8Array {
  const footer = footerOf(bytes);
  const body = bytes.subarray(0, bytes.length - 8 - footer.metadata_length);
  const writer = new ByteWriter();
  writer.appendBytes(body);
  if (typeof change !== "function") {
    writer.appendBytes(change);
    writer.appendUint32(change.length);
  } else {
    change(footer);
    writeMetadata(writer, footer);
  }
  writer.appendUint32(0x31524150);
  return Uint8Array.from(writer.getBytes());
}

/** The file with one page changed, its header and what follows it, and all offsets as they must be then. */
export function withPage(bytes: Uint8Array, column: string, change: (header: PageHeader, values: Uint8Array) => Uint8Array): Uint8Array {
  const footer = footerOf(bytes);
  const writer = new ByteWriter();
  writer.appendUint32(0x31524150);
  for (const { columns } of footer.row_groups) {
    for (const chunk of columns) {
      const meta = chunk.meta_data!;
      const [start, size] = [Number(meta.data_page_offset), Number(meta.total_compressed_size)];
      const reader = { view: new DataView(Uint8Array.from(bytes.subarray(start, start + size)).buffer), offset: 0 };
      const header = parquetHeader(reader);
      let values = bytes.subarray(start + reader.offset, start + size);
      if (meta.path_in_schema[0] === column) values = change(header, values);
      const at = writer.offset;
      writePageHeader(writer, header);
      writer.appendBytes(values);
      const length = BigInt(writer.offset - at);
      Object.assign(meta, { data_page_offset: BigInt(at), total_compressed_size: length, total_uncompressed_size: length });
      chunk.file_offset = BigInt(at);
    }
  }
  writeMetadata(writer, footer);
  writer.appendUint32(0x31524150);
  return Uint8Array.from(writer.getBytes());
}

/** A number as Thrift's compact form has it. */
export function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}

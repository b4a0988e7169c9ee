/** The end of a shard's file: what it says it holds, believed only as far as the format promises and the file's size allows. */
import { type AsyncBuffer, type ColumnMetaData, type FileMetaData, parquetMetadata, type RowGroup } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { fetchedBytes, mostFooterBytes } from "./shard-format.ts";
import { CHECKSUM, type Column, checksumElement, elementOf, tensorBytes } from "./stored-rows.ts";
import { checkThrift } from "./thrift.ts";

const headerBytes = 128; // of a page; the writer's take 25
const magic = 0x31524150; // "PAR1"

/**
 * Reads a Parquet file's end. Throws an Error that says in words what is wrong with it, before anything of the size that it
 * claims is made.
 */
export async function readFooter(file: AsyncBuffer): Promise<FileMetaData> {
  const size = file.byteLength;
  if (size < 12) throw new Error(`it has ${size} bytes`);
  let end = new Uint8Array(await file.slice(Math.max(0, size - fetchedBytes), size));
  const view = new DataView(end.buffer, end.byteOffset, end.length);
  if (view.getUint32(end.length - 4, true) !== magic) throw new Error("it does not end with PAR1");
  const length = view.getUint32(end.length - 8, true);
  if (length > size - 12) throw new Error(`its description has ${length} bytes, more than the file`);
  if (length > mostFooterBytes) throw new Error(`its description has ${length} bytes, expected at most ${mostFooterBytes}`);
  if (length + 8 > end.length) end = new Uint8Array(await file.slice(size - length - 8, size));
  checkThrift(end.subarray(end.length - 8 - length, end.length - 8));
  try {
    return parquetMetadata(end, { geoparquet: false });
  } catch (error) {
    if (error instanceof TypeError) throw new Error("its description lacks what Parquet requires", { cause: error });
    throw error;
  }
}

/** The key-value metadata of a file. */
export function keyValues({ key_value_metadata: pairs = [] }: FileMetaData): Record<string, string> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value ?? ""]));
}

/**
 * Throws an Error where a file is not laid out as the format promises: these columns, so many rows, plain and uncompressed, one
 * page a column and row group, which follow each other without gap or overlap from byte 4 to the description. After this no
 * number in the file is larger than the file.
 */
export function checkLayout(options: { columns: readonly Column[]; parquet: FileMetaData; size: number; rows: number }): void {
  const { columns, parquet, size, rows } = options;
  if (parquet.num_rows !== BigInt(rows)) throw new Error(`it says that it has ${parquet.num_rows} rows, expected ${rows}`);
  checkColumns(columns, parquet);
  let at = 4;
  let counted = 0;
  for (const [i, group] of parquet.row_groups.entries()) {
    const count = Number(group.num_rows);
    if (!(count > 0 && count <= rows - counted)) throw new Error(`its row group ${i} says that it has ${group.num_rows} rows`);
    if (group.columns.length !== columns.length + 1) throw new Error(`its row group ${i} has ${group.columns.length} columns`);
    for (const [c, { meta_data: chunk, file_path }] of group.columns.entries()) {
      const name = columns[c]?.name ?? CHECKSUM;
      const place = `column ${name} of its row group ${i}`;
      if (!chunk || file_path !== undefined || !isPlain(chunk, name)) throw new Error(`${place} is not as it was written`);
      if (Number(chunk.num_values) !== count) throw new Error(`${place} has ${chunk.num_values} values, expected ${count}`);
      if (Number(chunk.data_page_offset) !== at) throw new Error(`${place} begins at byte ${chunk.data_page_offset}, expected ${at}`);
      const bytes = Number(chunk.total_compressed_size);
      if (!(bytes > count * (bytesOfValue(columns[c]) ?? 0))) throw new Error(`${place} has ${bytes} bytes, too few for ${count} rows`);
      at += bytes;
    }
    counted += count;
  }
  if (counted !== rows) throw new Error(`its row groups have ${counted} rows together, expected ${rows}`);
  const end = size - 8 - parquet.metadata_length;
  if (at !== end) throw new Error(`its columns end at byte ${at}, expected ${end}`);
}

/** Throws an Error where a page of these columns in a row group, whose layout was checked, is not one of the format. */
export async function checkPages(options: { columns: (Column | undefined)[]; file: AsyncBuffer; group: RowGroup }): Promise<void> {
  const { columns, file, group } = options;
  const count = Number(group.num_rows);
  for (const column of columns) {
    const name = column?.name ?? CHECKSUM;
    const chunk = chunkOf(group, name);
    const [start, bytes] = [Number(chunk.data_page_offset), Number(chunk.total_compressed_size)];
    const reader = { view: new DataView(await file.slice(start, start + Math.min(headerBytes, bytes))), offset: 0 };
    const wrong = (what: string) => new Error(`the page of column ${name} at byte ${start} ${what}`);
    checkThrift(new Uint8Array(reader.view.buffer, reader.view.byteOffset, reader.view.byteLength));
    const { type, compressed_page_size, uncompressed_page_size, data_page_header_v2: page } = parquetHeader(reader);
    if (type !== "DATA_PAGE_V2" || page?.encoding !== "PLAIN") throw wrong("is not a plain data page");
    if (page.num_values !== count || page.num_rows !== count) throw wrong(`has ${page.num_values} values, expected ${count}`);
    const held = bytes - reader.offset;
    if (compressed_page_size !== held || uncompressed_page_size !== held) {
      throw wrong(`has ${compressed_page_size} bytes (${uncompressed_page_size} unpacked), expected ${held}`);
    }
    const { num_nulls: nulls, definition_levels_byte_length: levels, repetition_levels_byte_length: repeats } = page;
    const optional = column?.type === "int32" || column?.type === "text";
    const fits = optional ? nulls >= 0 && nulls <= count && levels >= 0 && levels <= held : nulls === 0 && levels === 0;
    if (!fits || repeats !== 0) throw wrong(`says that ${nulls} of its ${count} values are null`);
    const [values, width] = [count - nulls, bytesOfValue(column) ?? 4];
    const [room, need] = [held - levels, values * width];
    if (column?.type === "text" ? room < need : room !== need) throw wrong(`has ${room} bytes of values, expected ${need}`);
  }
}

/** What a row group, whose layout was checked, says of a column. */
export function chunkOf({ columns }: RowGroup, name: string): ColumnMetaData {
  return columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)!.meta_data!;
}

/** Bytes of a value that must be there; undefined where it may be null. The checksums have no column of their own: they take 4. */
function bytesOfValue(column: Column | undefined): number | undefined {
  if (column?.type === "tensor") return tensorBytes(column);
  if (column?.type === "id" || column?.type === "uint64") return 8;
  return column === undefined ? 4 : undefined;
}

function isPlain({ codec, path_in_schema: path, dictionary_page_offset, index_page_offset }: ColumnMetaData, name: string): boolean {
  const pages = dictionary_page_offset === undefined && index_page_offset === undefined;
  return codec === "UNCOMPRESSED" && path.length === 1 && path[0] === name && pages;
}

function checkColumns(columns: readonly Column[], { schema }: FileMetaData): void {
  const [root, ...found] = schema;
  const expected = [...columns.map(elementOf), checksumElement];
  const inWords = (name: string | undefined, type: string | undefined) => `${name} (${type ?? "no values"})`;
  if (root?.num_children !== expected.length || found.length !== expected.length) {
    throw new Error(`it has ${found.length} columns, expected ${expected.length}`);
  }
  for (const [i, element] of expected.entries()) {
    const other = found[i]!;
    const keys = ["name", "type", "type_length", "repetition_type", "converted_type", "logical_type", "num_children"] as const;
    if (keys.every((key) => other[key] === element[key])) continue;
    throw new Error(`its column ${i} is ${inWords(other.name, other.type)}, not ${inWords(element.name, element.type)} as it was written`);
  }
}

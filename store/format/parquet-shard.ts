/** Shards as Parquet: uncompressed and plain, one page a column and row group. */
import { type FileMetaData, parquetReadObjects, type RowGroup as ParquetGroup } from "hyparquet";
import { ByteWriter } from "hyparquet-writer";
import { checkLayout, checkPages, chunkOf, keyValues, readFooter } from "./footer.ts";
import { writeParquet } from "./parquet.ts";
import { rowBytesOf, type RowGroup, rowsPerGroup, type ShardContent, type ShardFormat } from "./shard-format.ts";
import { type Column, checksumElement, elementOf, type Stored, tensorBytes, type TensorColumn } from "./stored-rows.ts";

export const parquetShards: ShardFormat = {
  encode: async (content, room) => {
    const bytes = await encoded(content, room);
    return { bytes, description: new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(bytes.length - 8, true) };
  },
  readEnd: async (file) => {
    const parquet = await readFooter(file).catch(inWords);
    return {
      pairs: keyValues(parquet),
      groups: ({ columns, rows }) => {
        checkLayout({ columns, parquet, size: file.byteLength, rows });
        return groupsOf(parquet, columns);
      },
    };
  },
};

async function encoded({ columns, rows, checksums, metadata }: ShardContent, room: (bytes: number) => ArrayBuffer): Promise<Uint8Array> {
  const writer = new ByteWriter(0);
  writer.buffer = room(4096 + rowBytesOf(columns) * rows.length);
  writer.view = new DataView(writer.buffer);
  await writeParquet({
    ...{ writer, name: "onestep", metadata, createdBy: "onestep" },
    columns: [
      ...columns.map((column) => ({ element: elementOf(column), values: rows.map((row) => row[column.name]) })),
      { element: checksumElement, values: [...checksums] },
    ],
    rows: rows.length,
    rowsPerGroup: rowsPerGroup(columns),
  });
  const bytes = writer.getBytes();
  if (rows.length === 0) mendEmptyList(bytes);
  return bytes;
}

function groupsOf(parquet: FileMetaData, columns: readonly Column[]): RowGroup[] {
  let next = 0;
  return parquet.row_groups.map((group) => {
    const rows = Number(group.num_rows);
    const start = next;
    next += rows;
    const read: RowGroup["read"] = async ({ file, columns: names, from, to }) => {
      const wanted = names.map((name) => columns.find((column) => column.name === name)); // undefined: the checksums
      await checkPages({ columns: wanted, file, group });
      const tensors = wanted.filter((column): column is TensorColumn => column?.type === "tensor");
      const places = new Map(tensors.map((column) => [column.name, placeOf(group, column)]));
      const range = { columns: names.filter((name) => !places.has(name)), rowStart: start + from, rowEnd: start + to };
      const found = await parquetReadObjects({ file, metadata: parquet, ...range, parsers }).catch(inWords);
      return { rows: found as Stored[], places };
    };
    return { start, rows, bytes: bytesOf(group, columns), read };
  });
}

/** Columns follow each other without a gap. A page begins anywhere, and a view of numbers only at multiples of their width. */
function bytesOf(group: ParquetGroup, columns: readonly Column[]): RowGroup["bytes"] {
  const chunks = group.columns.map(({ meta_data }) => meta_data!);
  const from = Number(chunks[0]!.data_page_offset);
  const tensors = columns.filter((column): column is TensorColumn => column.type === "tensor");
  const [first, ...others] = tensors;
  const widest = others.reduce((a, b) => (a && tensorBytes(b) < tensorBytes(a) ? a : b), first);
  const to = chunks.reduce((sum, chunk) => sum + Number(chunk.total_compressed_size), from);
  return { from, to, aligned: widest ? placeOf(group, widest) : from };
}

/** Where in the file the values of a tensor's page begin: it ends with them. */
function placeOf(group: ParquetGroup, column: TensorColumn): number {
  const { data_page_offset: page, total_compressed_size: size } = chunkOf(group, column.name);
  return Number(page) + Number(size) - Number(group.num_rows) * tensorBytes(column);
}

// TextDecoder, hyparquet's default, would drop a byte order mark.
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString() : bytes) };

/** For errors of hyparquet's, whose words do not tell that a file is meant. */
function inWords(error: NodeJS.ErrnoException): never {
  if (error.errno !== undefined) throw error;
  throw new Error(`it is not a readable Parquet file (${error.message})`, { cause: error });
}

/**
 * Without rows, hyparquet-writer 0.17.0 gives the empty list of row groups no element type, which strict readers refuse;
 * it must be struct (12). In thrift's compact form: num_rows = 0 (16 00), row_groups (19), the list's header.
 */
function mendEmptyList(bytes: Uint8Array): void {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(Buffer.from([0x16, 0x00, 0x19, 0x00]));
  if (at >= 0) bytes[at + 3] = 0x0c;
}

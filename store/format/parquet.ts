/**
 * Writes Parquet as hyparquet-writer does, byte for byte, but copies a tensor once, straight to its place: the writer
 * itself gathers a page in a buffer that grows and then copies it, at half the speed.
 */
import { setImmediate } from "node:timers/promises";
import type { ColumnChunk, SchemaElement } from "hyparquet";
import { type ByteWriter, ParquetWriter } from "hyparquet-writer";
import { writeColumn } from "hyparquet-writer/src/column.js";
import { writePageHeader } from "hyparquet-writer/src/datapage.js";

export interface ParquetColumn {
  element: SchemaElement;
  /** One value a row; of a FIXED_LEN_BYTE_ARRAY its bytes. */
  values: unknown[];
}

/**
 * Writes flat columns, PLAIN and uncompressed, one page a column and row group, without statistics. Others have a turn on
 * the thread after each row group.
 */
export async function writeParquet(options: {
  writer: ByteWriter;
  name: string;
  columns: ParquetColumn[];
  rows: number;
  rowsPerGroup: number;
  metadata: Record<string, string>;
  createdBy: string;
}): Promise<void> {
  const { writer, name, columns, rows, rowsPerGroup, metadata, createdBy } = options;
  const root: SchemaElement = { name, num_children: columns.length };
  const parquet = new ParquetWriter({
    ...{ writer, createdBy, codec: "UNCOMPRESSED", statistics: false },
    schema: [root, ...columns.map(({ element }) => element)],
    kvMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  for (let from = 0; from < rows; from += rowsPerGroup) {
    const start = writer.offset;
    const chunks = columns.map(({ element, values }) => {
      const part = values.slice(from, from + rowsPerGroup);
      return element.type === "FIXED_LEN_BYTE_ARRAY"
        ? writeTensors(writer, element, part as Uint8Array[])
        : writeValues(writer, root, element, part);
    });
    parquet.row_groups.push({
      columns: chunks,
      total_byte_size: chunks.reduce((sum, { meta_data }) => sum + (meta_data?.total_uncompressed_size ?? 0n), 0n),
      num_rows: BigInt(Math.min(rowsPerGroup, rows - from)),
      total_compressed_size: BigInt(writer.offset - start),
    });
    await setImmediate();
  }
  parquet.num_rows = BigInt(rows);
  parquet.finish();
}

function writeTensors(writer: ByteWriter, element: SchemaElement, blobs: Uint8Array[]): ColumnChunk {
  const start = writer.offset;
  const count = blobs.length;
  const bytes = count * (element.type_length ?? 0);
  writePageHeader(writer, {
    ...{ type: "DATA_PAGE_V2", uncompressed_page_size: bytes, compressed_page_size: bytes },
    data_page_header_v2: {
      ...{ num_values: count, num_nulls: 0, num_rows: count, encoding: "PLAIN", is_compressed: true },
      ...{ definition_levels_byte_length: 0, repetition_levels_byte_length: 0 },
    },
  });
  for (const blob of blobs) writer.appendBytes(blob);
  const size = BigInt(writer.offset - start);
  return {
    meta_data: {
      ...{ type: "FIXED_LEN_BYTE_ARRAY", encodings: ["PLAIN"], path_in_schema: [element.name], codec: "UNCOMPRESSED" },
      ...{ num_values: BigInt(count), total_compressed_size: size, total_uncompressed_size: size },
      data_page_offset: BigInt(start),
    },
    file_offset: BigInt(start),
  };
}

function writeValues(writer: ByteWriter, root: SchemaElement, element: SchemaElement, values: unknown[]): ColumnChunk {
  const optional = element.repetition_type === "OPTIONAL";
  return writeColumn({
    writer,
    column: {
      ...{ columnName: element.name, element, schemaPath: [root, element], codec: "UNCOMPRESSED", compressors: {} },
      ...{ stats: false, pageSize: 2 ** 30, columnIndex: false, offsetIndex: false, encoding: "PLAIN" },
    },
    pageData: {
      values: values as never,
      definitionLevels: optional ? values.map((value) => (value === null || value === undefined ? 0 : 1)) : [],
      ...{ repetitionLevels: [], maxDefinitionLevel: optional ? 1 : 0 },
    },
  }).chunk;
}

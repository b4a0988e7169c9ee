import type { ExportColumn, widths } from "./columns.ts";

const descriptions = { int64: "<i8", uint64: "<u8", int32: "<i4", float32: "<f4", float16: "<f2", int16: "<i2" } as const;

/** The header of a .npy file, format 1.0 (numpy's NEP 1): the values follow, last axis fastest. */
export function npyHeader(type: keyof typeof widths, shape: readonly number[]): Uint8Array {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descriptions[type]}', 'fortran_order': False, 'shape': (${axes}), }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64; // the values start aligned
  const header = Buffer.alloc(length, " ");
  header.write("\x93NUMPY\x01\x00", 0, "latin1");
  header.writeUInt16LE(length - 10, 8);
  header.write(text, 10, "latin1");
  header.write("\n", length - 1, "latin1");
  return header;
}

/** The shape of a column over so many rows. */
export function shapeOf(column: Exclude<ExportColumn, { type: "text" }>, rows: number): number[] {
  return "shape" in column ? [rows, ...column.shape] : [rows];
}

import zlib from "node:zlib";

/** CRC-32 (IEEE 802.3, as in ZIP and PNG) of bytes, or its continuation from the checksum of what went before. */
export const crc32: (bytes: Uint8Array, previous?: number) => number = zlib.crc32 ?? crc32ByTable;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  return remainder;
});

/** The same without zlib.crc32, which Node has only from 20.15 on. */
export function crc32ByTable(bytes: Uint8Array, previous = 0): number {
  let crc = ~previous;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}

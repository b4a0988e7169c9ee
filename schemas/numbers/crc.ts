/** Cyclic redundancy checks of 32 bits: shards, journals, ZIP and PNG have CRC-32, TensorBoard's records CRC-32C. */
import zlib from "node:zlib";

/** The checksum of bytes, or its continuation from the checksum of what went before. */
export type Crc = (bytes: Uint8Array, previous?: number) => number;

/** The check of a polynomial, given with its bits reflected: it starts from all ones and ends inverted. */
export function createCrc(polynomial: number): Crc {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
    return rest;
  });
  return (bytes, previous = 0) => {
    let crc = ~previous;
    for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!;
    return ~crc >>> 0;
  };
}

/** The polynomial of CRC-32 (IEEE 802.3), 0x04c11db7 reflected. */
export const IEEE = 0xedb88320;

/** CRC-32 by zlib, which Node offers only from 20.15 on. */
export const crc32: Crc = zlib.crc32 ?? createCrc(IEEE);

/** CRC-32C (Castagnoli; RFC 3720, appendix B.4), 0x1edc6f41 reflected, which Node has none of. */
export const crc32c: Crc = createCrc(0x82f63b78);

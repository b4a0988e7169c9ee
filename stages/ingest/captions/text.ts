/** Bytes as text: UTF-8, or UTF-16 where a byte order mark says so. Nothing is ever replaced by U+FFFD. */

const piece = 2 ** 20; // bytes decoded at once
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes; undefined where they are none, or hold a NUL, which no text does (UTF-16 without its mark). */
export function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** What is wrong with bytes of which `textOf` makes nothing. */
export const NOT_UTF8 = "it is not UTF-8: save the file as UTF-8";

/** The bytes without their byte order mark, as UTF-8 where it says UTF-16. Throws an Error where they are not that. */
export function withoutMark(bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return bytes.subarray(3);
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
  if (!encoding) return bytes;
  const decoder = new TextDecoder(encoding, { fatal: true });
  const pieces: Buffer[] = [];
  try {
    for (let at = 0; at < bytes.length; at += piece) {
      const stream = at + piece < bytes.length;
      pieces.push(Buffer.from(decoder.decode(bytes.subarray(at, at + piece), { stream })));
    }
  } catch {
    throw new Error("its byte order mark says UTF-16, and it is not: save it as UTF-8");
  }
  return Buffer.concat(pieces);
}

import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";

/** Bytes hashed at a stretch: a few milliseconds. */
const PIECE = 2 ** 22;

/**
 * sha256 (hex), in pieces that let others have the thread. WebCrypto's is no faster: it first copies all bytes there.
 *
 * @example
 * import { sha256 } from "./hash.ts";
 * assert.equal((await sha256(new TextEncoder().encode("abc"))).slice(0, 8), "ba7816bf");
 */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += PIECE) {
    if (at > 0) await setImmediate();
    hash.update(bytes.subarray(at, at + PIECE));
  }
  return hash.digest("hex");
}

/**
 * sha256 (hex) of bytes that come in pieces, a file's from `createReadStream`, say, or promises of them; others have the thread
 * between two.
 *
 * @example
 * import { sha256, sha256Pieces } from "./hash.ts";
 * async function* pieces() {
 *   yield Uint8Array.of(1, 2);
 *   yield Uint8Array.of(3);
 * }
 * assert.equal(await sha256Pieces(pieces()), await sha256(Uint8Array.of(1, 2, 3)));
 */
export async function sha256Pieces(pieces: AsyncIterable<Uint8Array> | Iterable<Promise<Uint8Array>>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of pieces) {
    hash.update(piece);
    await setImmediate();
  }
  return hash.digest("hex");
}

/**
 * sha256 (hex) of text, for small files.
 *
 * @example
 * import { textHash } from "./hash.ts";
 * assert.equal(textHash("abc").slice(0, 8), "ba7816bf");
 */
export function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

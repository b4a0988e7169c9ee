const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** The pixels that a PNG's header declares (width times height); 0 where there is no header. */
export function declaredPixels(png: Uint8Array): number {
  return png.length < 24 ? 0 : view(png).getUint32(16) * view(png).getUint32(20);
}

/**
 * The PNG without its text chunks (tEXt, zTXt, iTXt): decoders inflate them, to any size, for nobody. Same bytes where
 * there are none; a file with a broken chunk is left for the decoder to refuse.
 */
export function withoutText(png: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  let from = 0; // start of what is kept next
  let at = 8;
  while (at + 12 <= png.length) {
    const end = at + 12 + view(png).getUint32(at);
    if (end > png.length) break;
    if (/^(tEXt|zTXt|iTXt)$/.test(String.fromCharCode(...png.subarray(at + 4, at + 8)))) {
      kept.push(png.subarray(from, at));
      from = end;
    }
    at = end;
  }
  return from === 0 ? png : Buffer.concat([...kept, png.subarray(from)]);
}

/**
 * Width and height of a PNG whose colours are plain: RGB or RGBA of 8 bits, not to be turned. Undefined for every other: a decoder
 * tells more of it, which takes as long as decoding a small one.
 */
export function plainSize(png: Uint8Array): { width: number; height: number } | undefined {
  if (png.length < 33 || png[24] !== 8 || (png[25] !== 2 && png[25] !== 6)) return undefined;
  for (let at = 8; at + 12 <= png.length; at += 12 + view(png).getUint32(at)) {
    const type = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (type === "eXIf") return undefined; // it may hold an orientation
  }
  return { width: view(png).getUint32(16), height: view(png).getUint32(20) };
}

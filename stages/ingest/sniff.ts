/** What the first bytes say a file is; the extension says nothing. */
export function sniff(bytes: Uint8Array): { format: string; supported: boolean } {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 32)).toString("latin1");
  for (const [pattern, format] of supported) if (pattern.test(head)) return { format, supported: true };
  for (const [pattern, format] of others) if (pattern.test(head)) return { format, supported: false };
  return { format: "", supported: false };
}

const supported: [RegExp, string][] = [
  [/^\x89PNG\r\n\x1a\n/, "PNG"],
  [/^\xff\xd8\xff/, "JPEG"],
  [/^RIFF....WEBP/s, "WebP"],
  [/^GIF8[79]a/, "GIF"],
  [/^(II\*\0|MM\0\*|II\+\0|MM\0\+)/, "TIFF"],
];

const others: [RegExp, string][] = [
  [/^BM.{4}\0\0\0\0/s, "a BMP image"],
  [/^....ftyp(avif|heic|heix|mif1|msf1)/s, "an AVIF or HEIC image"],
  [/^(\xff\x0a|\0\0\0\x0cJXL )/, "a JPEG XL image"],
  [/^8BPS/, "a Photoshop file"],
  [/^PK[\x01-\x08]/, "a zip inside the archive, which is not opened"],
  [/^%PDF/, "a PDF"],
  [/^MZ/, "a program"],
  [/^(\xef\xbb\xbf)?\s*<(\?xml|svg|!doctype|html)/i, "markup (SVG or HTML)"],
];

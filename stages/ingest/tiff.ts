/** What the directories of a TIFF say of its pages, as far as it decides whether a decoder reads the values that are meant. */

const types: Record<number, "getUint8" | "getUint16" | "getUint32" | "getBigUint64"> = {
  1: "getUint8",
  3: "getUint16",
  4: "getUint32",
  13: "getUint32",
  16: "getBigUint64",
  18: "getBigUint64",
};
const widths: Record<number, number> = { 1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8 };

const tags = {
  254: "subfile",
  258: "bits",
  259: "compression",
  262: "photometric",
  277: "samples",
  338: "extra",
  339: "formats",
} as const;
type Directory = Partial<Record<(typeof tags)[keyof typeof tags], number[]>>;

const PAGES = 64; // looked at for a picture that is no thumbnail
const ENTRIES = 2 ** 16; // of a directory
const VALUES = 32; // of one entry that are read: no picture here has as many samples

/**
 * The index of the page to decode: the first that is a picture of its own, no thumbnail and no mask. Throws an Error that
 * names what the samples are where the decoder would take them for others: floating-point, signed or wider than 16 bits,
 * several alphas, colours that are not grey, RGB, palette, CMYK or JPEG's. A file whose directories cannot be followed is
 * left for the decoder to refuse.
 */
export function tiffPage(bytes: Uint8Array): number {
  const pages = directories(bytes);
  if (pages.length === 0) return 0;
  const page = pages.findIndex(({ subfile: [kind = 0] = [] }) => (kind & (THUMBNAIL | MASK)) === 0);
  if (page < 0) throw unsupported("every page of it is a thumbnail or a mask, as in raw files of cameras; export the picture itself");
  refuse(pages[page] as Directory);
  return page;
}

const THUMBNAIL = 1;
const MASK = 4;

/** Throws where the samples of a page are not what the decoder would take them for. */
function refuse({ bits = [1], formats = [1], samples = [1], photometric = [], compression = [1], extra = [] }: Directory): void {
  const widest = Math.max(...bits);
  const format = formats.find((each) => each !== 1 && each !== 4);
  const kind = sampleFormats[format ?? 1] ?? `format-${format}`;
  const remedy = "save it with unsigned samples of 8 or 16 bits";
  if (format !== undefined || widest > 16) throw unsupported(`${widest}-bit ${kind} samples; ${remedy}`);
  if (![1, 2, 4, 8, 16].includes(widest) || bits.some((each) => each !== widest)) {
    throw unsupported(`samples of ${[...new Set(bits)].join(", ")} bits; ${remedy}`);
  }
  const [colours = -1] = photometric;
  const { name, channels } = colourSpaces[colours] ?? { name: `colours of kind ${colours} (PhotometricInterpretation)`, channels: 0 };
  // A decoder of JPEG makes RGB of YCbCr; without one nobody does.
  if (channels === 0 || (colours === YCBCR && compression[0] !== JPEG && compression[0] !== OLD_JPEG))
    throw unsupported(`${name}; save it as RGB`);
  if (!COMPRESSIONS.has(compression[0] as number)) throw unsupported(`compression ${compression[0]}; save it with deflate, LZW or none`);
  const more = (samples[0] as number) - channels;
  if (more > 1) {
    const meant = Array.from({ length: Math.min(more, 4) }, (_, i) => extraSamples[extra[i] ?? 0] ?? "another");
    throw unsupported(
      `${name} with ${more} further channels (${meant.join(", ")}${more > 4 ? " ..." : ""}); save it with one alpha or none`,
    );
  }
}

const unsupported = (what: string): Error => new Error(`not a supported TIFF: ${what}`);

const sampleFormats: Record<number, string> = {
  1: "unsigned",
  2: "signed",
  3: "floating-point",
  5: "complex integer",
  6: "complex floating-point",
};

const extraSamples: Record<number, string> = { 0: "unspecified", 1: "premultiplied alpha", 2: "straight alpha" };

/** None, CCITT (three), LZW, JPEG (old and new), deflate (both numbers), PackBits and WebP. */
const COMPRESSIONS = new Set([1, 2, 3, 4, 5, 6, 7, 8, 32946, 32773, 50001]);

const YCBCR = 6;
const JPEG = 7;
const OLD_JPEG = 6;
/** Colour spaces that are decoded have channels. */
const colourSpaces: Record<number, { name: string; channels: number }> = {
  0: { name: "grey", channels: 1 },
  1: { name: "grey", channels: 1 },
  2: { name: "RGB", channels: 3 },
  3: { name: "a palette", channels: 1 },
  5: { name: "CMYK", channels: 4 },
  [YCBCR]: { name: "YCbCr colours that are not JPEG", channels: 3 },
  8: { name: "CIE L*a*b* colours", channels: 0 },
  9: { name: "ICC L*a*b* colours", channels: 0 },
  10: { name: "ITU L*a*b* colours", channels: 0 },
  32803: { name: "the colour filter mosaic of a camera", channels: 0 },
  32844: { name: "LogL luminances", channels: 0 },
  32845: { name: "LogLuv colours", channels: 0 },
  34892: { name: "linear raw values of a camera", channels: 0 },
};

/** The directories in the order of their chain, the first {@link PAGES}. */
function directories(bytes: Uint8Array): Directory[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: Directory[] = [];
  try {
    const little = view.getUint8(0) === 0x49;
    const big = view.getUint16(2, little) === 43;
    const wide = (at: number): number => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
    const layout = big ? { count: 8, entry: 20, inline: 8, first: 8 } : { count: 2, entry: 12, inline: 4, first: 4 };
    const seen = new Set<number>();
    for (let at = wide(layout.first); at !== 0 && !seen.has(at) && found.length < PAGES; ) {
      seen.add(at);
      const entries = big ? wide(at) : view.getUint16(at, little);
      const directory: Directory = {};
      for (let i = 0; i < Math.min(entries, ENTRIES); i++) {
        const entry = at + layout.count + i * layout.entry;
        const name = tags[view.getUint16(entry, little) as keyof typeof tags];
        const type = view.getUint16(entry + 2, little);
        const [read, width] = [types[type], widths[type]];
        if (!name || !read || !width) continue;
        const count = wide(entry + 4);
        const place = entry + 4 + layout.inline;
        const start = count * width <= layout.inline ? place : wide(place);
        directory[name] = Array.from({ length: Math.min(count, VALUES) }, (_, k) => Number(view[read](start + k * width, little)));
      }
      found.push(directory);
      at = wide(at + layout.count + entries * layout.entry);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return found;
}

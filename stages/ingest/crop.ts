/** The middle of an encoded image, in sRGB, at a size. */
import { setImmediate } from "node:timers/promises";
import type { Sharp, SharpOptions } from "sharp";
import { planResize } from "../../models/features/resize.ts";
import { type ImageSize, sidesOf } from "../../schemas/images.ts";
import { sharp } from "../../schemas/sharp.ts";
import { type Conversion, conversionOf } from "./profile.ts";

/** How images of another size come to theirs, as results print it. */
export const CROP_FILTER = "Lanczos 3 down (from a factor of 4 on over averages of pixels), bicubic up";

/**
 * Cuts out the largest middle part of the size's proportions and brings it to [height, width, 3] bytes of sRGB by its colour profile,
 * transparency flattened onto `background` ("#rrggbb"). The filter is that of {@link CROP_FILTER} whatever the file format: the averages,
 * of squares of pixels, leave Lanczos a factor between two and four. An image of the right size keeps its pixels exactly. Only 16-bit
 * images with a profile are held as a whole, one at a time. Rejects with a Failure where a profile cannot be read, and with sharp's Error
 * where the file is damaged.
 */
export async function cropped(input: Uint8Array, options: CropOptions): Promise<Uint8Array> {
  const { size: _, background: __, plain, ...reading } = options;
  if (plain) return finished(sharp(input, reading), { ...options, ...plain, isDeep: false, hasGreyAlpha: false });
  const metadata = await sharp(input, reading).metadata();
  const isDeep = metadata.depth === "ushort";
  const isGrey = metadata.channels < 3;
  const profile = isDeep ? metadata.icc : undefined;
  const conversion = profile && conversionOf(profile, isGrey ? "grey" : "rgb");
  const rest = { ...options, ...metadata.autoOrient, isDeep, hasGreyAlpha: metadata.channels === 2 };
  // A profile of other colours than the image's says nothing about it.
  const image = sharp(input, { ...reading, ignoreIcc: isDeep && metadata.space !== "cmyk" }).autoOrient();
  if (!conversion) return finished(image, rest);
  return alone(async () => finished(await converted(image.toColourspace(isGrey ? "grey16" : "rgb16"), conversion), rest));
}

type CropOptions = SharpOptions & {
  size: ImageSize;
  background: string;
  /** Of an image known to be 8-bit RGB with or without alpha, and upright. */
  plain?: { width: number; height: number };
};

/** An oriented image to the finished one. */
async function finished(
  image: Sharp,
  options: { size: ImageSize; background: string; width: number; height: number; isDeep: boolean; hasGreyAlpha: boolean },
): Promise<Uint8Array> {
  const { size, background, width, height, isDeep, hasGreyAlpha } = options;
  const [high, wide] = sidesOf(size);
  const [cutWidth, cutHeight] = [Math.min(width, Math.round((height * wide) / high)), Math.min(height, Math.round((width * high) / wide))];
  const isSmall = cutWidth < wide || cutHeight < high;
  // Cut out first: sharp would cut to whole pixels of the result. It also keeps sharp from shrinking JPEG and WebP, by other
  // filters, while it loads them.
  const isWhole = width === wide && height === high;
  const box = { left: (width - cutWidth) >> 1, top: (height - cutHeight) >> 1, width: cutWidth, height: cutHeight };
  const cut = isWhole ? image : image.extract(box);
  const sized = isSmall || isWhole ? cut : cut.resize(wide, high, { kernel: "lanczos3", fit: "fill" });
  // sharp flattens before it makes RGB of grey, which would get the background's red alone.
  const pixels = hasGreyAlpha
    ? await flattened(sized, { isDeep, background })
    : await bytesOf(sized.flatten({ background }).toColourspace("srgb").removeAlpha().raw({ depth: "uchar" }));
  return isSmall ? Uint8Array.from(planResize({ height: cutHeight, width: cutWidth, size })(pixels), Math.round) : pixels;
}

async function bytesOf(image: Sharp): Promise<Uint8Array> {
  const bytes = await image.timeout(PATIENCE).toBuffer();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A hostile file may be slow to decode without being large. */
const PATIENCE = { seconds: 60 };

/** Pixels of sRGB with alpha (where there is one) onto the background, in 16 bits where the image has them. */
async function flattened(image: Sharp, { isDeep, background }: { isDeep: boolean; background: string }): Promise<Uint8Array> {
  const depth = isDeep ? "ushort" : "uchar";
  const raw = image.toColourspace(isDeep ? "rgb16" : "srgb").raw({ depth });
  const { data, info } = await raw.timeout(PATIENCE).toBuffer({ resolveWithObject: true });
  const values = isDeep ? words(data) : data;
  const full = isDeep ? 65535 : 255;
  const behind = [1, 3, 5].map((at) => Number.parseInt(background.slice(at, at + 2), 16));
  return Uint8Array.from({ length: info.width * info.height * 3 }, (_, i) => {
    const at = Math.floor(i / 3) * info.channels;
    const alpha = info.channels === 4 ? (values[at + 3] as number) / full : 1;
    return Math.round(alpha * ((values[at + (i % 3)] as number) / full) * 255 + (1 - alpha) * (behind[i % 3] as number));
  });
}

/** The image with the values that a conversion of its colours gives. */
async function converted(image: Sharp, convert: Conversion): Promise<Sharp> {
  const { data, info } = await image.raw({ depth: "ushort" }).timeout(PATIENCE).toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const values = words(data);
  for (let from = 0; from < width * height; from += PIECE) {
    convert(values, { from, to: Math.min(from + PIECE, width * height), channels });
    await setImmediate(); // the control thread has others to serve
  }
  return sharp(values, { raw: { width, height, channels } });
}

const PIECE = 2 ** 17;

function words(data: Buffer): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
}

let last: Promise<unknown> = Promise.resolve();

/** Does one such work at a time. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  const done = last.then(work);
  last = done.catch(() => {});
  return done;
}

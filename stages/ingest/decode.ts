import type { OperatorFunction } from "rxjs";
import { Failure } from "../../schemas/failure.ts";
import { sharp } from "../../schemas/sharp.ts";
import type { ImageFile, ImageSample, ImageSize, Rejected } from "../../schemas/images.ts";
import { stage } from "../flow/mod.ts";
import { cropped } from "./crop.ts";
import { displayName } from "../../schemas/visible.ts";
import { declaredPixels, plainSize, withoutText } from "./png.ts";
import { sniff } from "./sniff.ts";
import { tiffPage } from "./tiff.ts";

// One thread an image: the stage decodes several images at once instead. Nothing is decoded twice, so no cache.
sharp.concurrency(1);
sharp.cache(false);

export interface DecodeOptions {
  size: ImageSize; // in pixels
  background: string; // "#rrggbb" under transparent pixels
  maxPixels: number; // width x height of the stored image
  concurrency?: number;
}

/**
 * Decodes files to [height, width, 3] RGB of that size in order; what cannot be decoded becomes a Rejected. Of an animation the first
 * frame, of a TIFF the first page that is no thumbnail; grey, palette, 16-bit and CMYK become 8-bit sRGB by their colour
 * profiles; EXIF orientation is applied; transparency is flattened. The largest middle part of the size's
 * proportions is cut out and resized as `CROP_FILTER` says. Holds at most 32 MiB of files, and one more.
 */
export function decode(options: DecodeOptions): OperatorFunction<ImageFile | Rejected, ImageSample | Rejected> {
  return stage({
    name: "decode",
    capacity: 32 * 2 ** 20,
    concurrency: options.concurrency ?? 3,
    weigh: (item: ImageFile | Rejected) => 2 ** 12 + (item.kind === "file" ? item.bytes.length : 0),
    work: async (item): Promise<ImageSample | Rejected> => {
      if (item.kind === "rejected") return item;
      const { index, source, name, bytes, label, caption } = item;
      try {
        const pixels = await decodeImage(bytes, options);
        const labels = { ...(label !== undefined && { label }), ...(caption !== undefined && { caption }) };
        return { kind: "image", index, source, name, ...labels, size: options.size, pixels };
      } catch (error) {
        return { kind: "rejected", index, source, entry: displayName(name), reason: (error as Error).message };
      }
    },
  });
}

/** One file's bytes to [height, width, 3] RGB, as `decode` does. Rejects with an Error that says what is wrong. */
export async function decodeImage(bytes: Uint8Array, { size, background, maxPixels }: DecodeOptions): Promise<Uint8Array> {
  const { format, supported } = sniff(bytes);
  if (bytes.length === 0) throw new Error("an empty file");
  if (!supported) throw new Error(format ? `not a supported image: ${format}` : "not an image");
  const tooLarge = new RangeError(`${format} of more than ${maxPixels} pixels (images.maxPixels)`);
  if (format === "PNG" && declaredPixels(bytes) > maxPixels) throw tooLarge;
  const page = format === "TIFF" ? tiffPage(bytes) : 0;
  try {
    const input = format === "PNG" ? withoutText(bytes) : bytes;
    const plain = format === "PNG" ? plainSize(input) : undefined;
    return await cropped(input, { size, background, plain, limitInputPixels: maxPixels, failOn: "error", ...(page > 0 && { page }) });
  } catch (error) {
    const message = (error as Error).message;
    if (error instanceof Failure) throw error; // says already what is wrong
    if (/pixel limit/i.test(message)) throw tooLarge;
    throw new Error(`damaged ${format} (${message.split("\n")[0]?.replace(/:$/, "")})`);
  }
}

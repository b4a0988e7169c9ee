/** Images as they flow: files, decoded images, and what was left out on the way. */

/** A picture in memory: RGB bytes, row by row [height, width, 3]. */
export interface Picture {
  pixels: Uint8Array;
  width: number;
  height: number;
}

/** Pixels of a picture: a square's side, or [height, width]. */
export type ImageSize = number | readonly [height: number, width: number];

/** [height, width] of a size. */
export const sidesOf = (size: ImageSize): readonly [number, number] => (typeof size === "number" ? [size, size] : size);

/** The size of these sides, a square's as one number. */
export const sizeOf = ([height, width]: readonly [number, number]): ImageSize => (height === width ? height : [height, width]);

/** "512 px", or width by height as flags have it: "768x512 px". */
export const sizeInWords = (size: ImageSize): string => `${typeof size === "number" ? size : `${size[1]}x${size[0]}`} px`;

/** The pixels of pictures of one size, one after the other. */
export function pixelsOf(pictures: readonly Pick<Picture, "pixels">[]): Uint8Array<ArrayBuffer> {
  const length = pictures[0]?.pixels.length ?? 0;
  const pixels = new Uint8Array(pictures.length * length);
  for (const [i, picture] of pictures.entries()) pixels.set(picture.pixels, i * length);
  return pixels;
}

/** A file that claims to be an image, read but not decoded. */
export interface ImageFile {
  kind: "file";
  index: number; // position in the source's listing: the same for the same input, whatever was rejected
  source: string; // base name of the archive or folder
  name: string; // as stored: a label, never a path to write to
  bytes: Uint8Array;
  label?: number;
  caption?: string;
}

/** A decoded image: `pixels` is [height, width, 3] RGB of its size. */
export interface ImageSample {
  kind: "image";
  index: number;
  source: string;
  name: string;
  label?: number;
  caption?: string;
  size: ImageSize;
  pixels: Uint8Array;
}

/** Something that was left out, and why: one quarantine record. */
export interface Rejected {
  kind: "rejected";
  index: number;
  source: string;
  entry: string; // escaped, safe to print
  reason: string;
}

/** A caption, label or file that is not taken, in words. */
export interface Problem {
  source: string;
  entry: string; // the image or the file of captions or labels, escaped
  reason: string;
}

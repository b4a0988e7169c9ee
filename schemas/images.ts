/** Images as they flow: files, decoded images, and what was left out on the way. */

/** A picture in memory: RGB bytes, row by row [height, width, 3]. */
export interface Picture {
  pixels: Uint8Array;
  width: number;
  height: number;
}

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

/** A decoded image: `pixels` is [size, size, 3] RGB. */
export interface ImageSample {
  kind: "image";
  index: number;
  source: string;
  name: string;
  label?: number;
  caption?: string;
  size: number;
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
